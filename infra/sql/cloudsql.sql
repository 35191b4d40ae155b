-- Run once as `postgres`, in the database `seawall` (docs/deploy-gcp.md); the users are made by Terraform (output store_users):
--   psql "host=$HOST dbname=seawall user=postgres sslmode=require" -v roles="'seawall-tick@acme.iam','seawall-api@acme.iam'" -f infra/sql/cloudsql.sql
-- The functions share the role `seawall`, which owns the tables; each function logs in as itself and acts as that role.
SELECT 'CREATE ROLE seawall NOLOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'seawall') \gexec
SELECT format('GRANT seawall TO %I', name) FROM unnest(ARRAY[:roles]) AS name \gexec
SELECT format('ALTER ROLE %I IN DATABASE seawall SET role TO seawall', name) FROM unnest(ARRAY[:roles]) AS name \gexec
GRANT CONNECT, TEMPORARY ON DATABASE seawall TO seawall;
GRANT USAGE, CREATE ON SCHEMA public TO seawall;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
