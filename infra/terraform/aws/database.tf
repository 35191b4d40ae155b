# RDS for PostgreSQL, where no store is given. Functions log in by IAM tokens; infra/sql/rds.sql makes their role.
resource "aws_security_group" "functions" {
  count       = var.network == null ? 0 : 1
  name_prefix = "${local.prefix}functions-"
  description = "Seawall functions"
  vpc_id      = var.network.vpc_id
  tags        = local.tags
}

resource "aws_vpc_security_group_egress_rule" "functions" {
  count             = var.network == null ? 0 : 1
  security_group_id = aws_security_group.functions[0].id
  description       = "Registries, AWS, the hub, the store"
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_security_group" "store" {
  count       = var.store_url == null ? 1 : 0
  name_prefix = "${local.prefix}store-"
  description = "Seawall store"
  vpc_id      = try(var.network.vpc_id, null)
  tags        = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "store" {
  count                        = var.store_url == null && var.network != null ? 1 : 0
  security_group_id            = aws_security_group.store[0].id
  referenced_security_group_id = aws_security_group.functions[0].id
  description                  = "PostgreSQL from the functions"
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_db_subnet_group" "store" {
  count       = var.store_url == null ? 1 : 0
  name_prefix = local.prefix
  subnet_ids  = try(var.network.subnet_ids, [])
  tags        = local.tags
}

# Slow statements are logged, and plain-text connections refused.
resource "aws_db_parameter_group" "store" {
  count       = var.store_url == null ? 1 : 0
  name_prefix = local.prefix
  family      = "postgres16"
  description = "Seawall store"
  tags        = local.tags
  parameter {
    name  = "rds.force_ssl"
    value = "1"
  }
  dynamic "parameter" {
    for_each = { log_min_duration_statement = "1000", log_statement = "ddl", log_lock_waits = "1" }
    content {
      name  = parameter.key
      value = parameter.value
    }
  }
  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_db_instance" "store" {
  count                               = var.store_url == null ? 1 : 0
  identifier_prefix                   = local.prefix
  engine                              = "postgres"
  engine_version                      = "16"
  instance_class                      = var.database.class
  allocated_storage                   = var.database.storage_gb
  max_allocated_storage               = var.database.storage_gb * 10
  storage_encrypted                   = true
  kms_key_id                          = aws_kms_key.data.arn
  db_name                             = "seawall"
  username                            = "postgres"
  manage_master_user_password         = true
  master_user_secret_kms_key_id       = aws_kms_key.data.key_id
  iam_database_authentication_enabled = true
  db_subnet_group_name                = aws_db_subnet_group.store[0].name
  vpc_security_group_ids              = [aws_security_group.store[0].id]
  publicly_accessible                 = false
  multi_az                            = var.database.multi_az
  backup_retention_period             = 14
  deletion_protection                 = var.database.deletion_protection
  skip_final_snapshot                 = !var.database.deletion_protection
  final_snapshot_identifier           = var.database.deletion_protection ? "${var.name}-final" : null
  auto_minor_version_upgrade          = true
  copy_tags_to_snapshot               = true
  enabled_cloudwatch_logs_exports     = ["postgresql", "upgrade"]
  performance_insights_enabled        = true
  performance_insights_kms_key_id     = aws_kms_key.data.arn
  parameter_group_name                = aws_db_parameter_group.store[0].name
  tags                                = local.tags

  lifecycle {
    precondition {
      condition     = var.network != null
      error_message = "RDS needs var.network; give it, or an external store by store_url."
    }
  }
}
