# The bucket and the ledger.

module "storage" {
  source = "./modules/storage"

  bucket         = { name = local.names.bucket, arn = local.arns.bucket }
  ledger         = local.names.ledger
  key_arn        = local.key_arn
  retention_days = var.ledger_retention_days
  protect_data   = var.protect_data
}
