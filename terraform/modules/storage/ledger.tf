resource "aws_dynamodb_table" "ledger" {
  name                        = var.ledger
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "picture"
  range_key                   = "version"
  deletion_protection_enabled = var.protect_data

  dynamic "attribute" {
    for_each = toset(["attention", "picture", "time", "version"])

    content {
      name = attribute.key
      type = "S"
    }
  }

  # Sparse: only rows that still wait for a person or a rerun have "attention".
  global_secondary_index {
    name            = "attention"
    hash_key        = "attention"
    range_key       = "time"
    projection_type = "ALL"
  }

  ttl {
    attribute_name = "expiry"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = true
    kms_key_arn = var.key_arn
  }
}
