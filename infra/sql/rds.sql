-- Run once in the database `seawall` as the master user: the role that Lambda functions log in as by IAM token.
SELECT 'CREATE ROLE seawall LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'seawall') \gexec
GRANT rds_iam TO seawall;
GRANT CONNECT, TEMPORARY ON DATABASE seawall TO seawall;
GRANT USAGE, CREATE ON SCHEMA public TO seawall;
REVOKE ALL ON SCHEMA public FROM PUBLIC;
