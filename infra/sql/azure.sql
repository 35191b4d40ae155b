-- Run once as the Entra administrator of the server, in the database `postgres`, then in `seawall` (docs/deploy-azure.md):
--   psql "host=$HOST dbname=postgres user=$YOU sslmode=require" -v roles="'seawall-registry','seawall-audit'" -f infra/sql/azure.sql
-- The apps share the role `seawall`, which owns the tables; each app logs in as itself and acts as that role.
SELECT 'CREATE ROLE seawall NOLOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'seawall') \gexec
SELECT format('SELECT pgaadauth_create_principal(%L, false, false)', name)
FROM unnest(ARRAY[:roles]) AS name WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = name) \gexec
SELECT format('GRANT seawall TO %I', name) FROM unnest(ARRAY[:roles]) AS name \gexec
SELECT format('ALTER ROLE %I IN DATABASE seawall SET role TO seawall', name) FROM unnest(ARRAY[:roles]) AS name \gexec
GRANT CONNECT, TEMPORARY ON DATABASE seawall TO seawall;
\connect seawall
GRANT USAGE, CREATE ON SCHEMA public TO seawall;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
