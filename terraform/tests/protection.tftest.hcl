# The real provider plans here (its credentials open nothing, and it asks AWS nothing), so the assertions are about the
# values that AWS would get, defaults included.

provider "aws" {
  region                      = "us-east-1"
  access_key                  = "offline"
  secret_key                  = "offline"
  skip_credentials_validation = true
  skip_metadata_api_check     = true
  skip_requesting_account_id  = true
}

variables {
  ledger         = "scones-prod-ledger"
  key_arn        = "arn:aws:kms:us-east-1:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
  retention_days = 365
  protect_data   = true

  bucket = {
    name = "scones-prod-123456789012-us-east-1"
    arn  = "arn:aws:s3:::scones-prod-123456789012-us-east-1"
  }
}

run "protected_data_survives_a_destroy" {
  command = plan

  module {
    source = "./modules/storage"
  }

  assert {
    condition     = !aws_s3_bucket.this.force_destroy && aws_dynamodb_table.ledger.deletion_protection_enabled
    error_message = "With protect_data, destroy must leave a bucket that holds something, and the ledger."
  }
  assert {
    condition     = one(aws_dynamodb_table.ledger.point_in_time_recovery).enabled
    error_message = "The ledger must be restorable."
  }
}

run "unprotected_data_is_encrypted_and_versioned_all_the_same" {
  command = plan

  module {
    source = "./modules/storage"
  }

  variables {
    protect_data = false
  }

  assert {
    condition     = aws_s3_bucket.this.force_destroy && !aws_dynamodb_table.ledger.deletion_protection_enabled
    error_message = "Without protect_data, destroy must leave nothing behind."
  }
  assert {
    condition = [
      for rule in aws_s3_bucket_server_side_encryption_configuration.this.rule :
      rule.apply_server_side_encryption_by_default[0].kms_master_key_id
    ] == [var.key_arn]
    error_message = "The bucket must be encrypted with the key that it was given."
  }
  assert {
    condition     = one(aws_s3_bucket_versioning.this.versioning_configuration).status == "Enabled"
    error_message = "Overwritten objects must be kept."
  }
}
