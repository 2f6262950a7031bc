# What distinguishes the state machines: permissions and what starts them.

locals {
  state_machines = {
    classify = {
      statements = [
        {
          sid       = "InvokeFunctions"
          actions   = ["lambda:InvokeFunction"]
          resources = values(local.arns.live_functions)
        },
        {
          sid       = "WriteLedger"
          actions   = ["dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:UpdateItem"]
          resources = [local.arns.ledger]
        },
        {
          sid       = "ResolveVersions"
          actions   = ["s3:GetObject"]
          resources = ["${local.arns.bucket}/*"]
        },
        {
          sid        = "UseKeyOfLedger"
          actions    = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
          resources  = local.key_resources
          conditions = merge(local.key_conditions, { StringEquals = { "kms:ViaService" = ["dynamodb.${var.region}.amazonaws.com"] } })
        },
        {
          sid       = "KeepUnsentAlerts"
          actions   = ["sqs:SendMessage"]
          resources = [local.arns.alert_dead_letters]
        },
      ]
      trigger = {
        rule             = local.names.trigger_rule
        rule_arn         = local.arns.trigger_rule
        dead_letters     = local.names.trigger_dead_letters
        dead_letters_arn = local.arns.trigger_dead_letters
        bucket           = local.names.bucket
        prefix           = "incoming/"
        # Without an endpoint each picture would end in an alert; `scones batch --missing` classifies them later.
        enabled = var.model != null
      }
    }
    unfinished = {
      statements = [
        {
          sid       = "InvokeFunctions"
          actions   = ["lambda:InvokeFunction"]
          resources = [local.arns.live_functions["send_alert"]]
        },
        {
          sid       = "WriteLedger"
          actions   = ["dynamodb:UpdateItem"]
          resources = [local.arns.ledger]
        },
        {
          sid        = "UseKeyOfLedger"
          actions    = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
          resources  = local.key_resources
          conditions = merge(local.key_conditions, { StringEquals = { "kms:ViaService" = ["dynamodb.${var.region}.amazonaws.com"] } })
        },
      ]
      trigger = null # a rule of the alerts starts it
    }
  }
}
