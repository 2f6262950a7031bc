# What distinguishes the state machines: permissions and what starts them.

locals {
  # What every machine needs that runs pictures: it calls the functions, writes to the ledger, and alerts.
  picture_statements = [
    {
      sid     = "InvokeFunctions"
      actions = ["lambda:InvokeFunction"]
      resources = [
        for folder in ["classify_image", "filter_inferences", "send_alert", "serialize_image_data"] :
        local.arns.live_functions[folder]
      ]
    },
    {
      sid        = "UseKeyOfLedger"
      actions    = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
      resources  = local.key_resources
      conditions = local.key_conditions_via["dynamodb"]
    },
    {
      sid       = "KeepUnsentAlerts"
      actions   = ["sqs:SendMessage"]
      resources = [local.arns.alert_dead_letters]
    },
  ]

  state_machines = {
    classify = {
      definition = "classify.asl.json"
      statements = concat(local.picture_statements, [
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
          # Without it S3 answers 403, not 404, for a missing picture.
          sid       = "TellMissingFromForbidden"
          actions   = ["s3:ListBucket"]
          resources = [local.arns.bucket]
        },
      ])
      trigger = {
        rule             = local.names.trigger_rule
        rule_arn         = local.arns.trigger_rule
        dead_letters     = local.names.trigger_dead_letters
        dead_letters_arn = local.arns.trigger_dead_letters
        bucket           = local.names.bucket
        prefix           = "incoming/"
        # Without an endpoint each picture would end in an alert; `scones batch --missing` classifies them later.
        enabled = local.served_model != null
      }
    }
    batch = {
      definition = "batch.asl.json"
      statements = concat(local.picture_statements, [
        {
          sid       = "WriteLedger"
          actions   = ["dynamodb:GetItem", "dynamodb:UpdateItem"]
          resources = [local.arns.ledger]
        },
        {
          # A Distributed Map starts its children as executions of its own machine.
          sid       = "StartChildren"
          actions   = ["states:StartExecution"]
          resources = [local.arns.state_machines["batch"]]
        },
        {
          sid       = "FollowChildren"
          actions   = ["states:DescribeExecution"]
          resources = ["${local.arn_base.states}:execution:${local.names.state_machines["batch"]}:*"]
        },
        {
          # Also reads back the parts of large results before it completes them.
          sid       = "ReadManifestWriteResults"
          actions   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:ListMultipartUploadParts", "s3:PutObject"]
          resources = ["${local.arns.bucket}/results/*"]
        },
        {
          sid        = "UseKeyOfBucket"
          actions    = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
          resources  = local.key_resources
          conditions = local.key_conditions_via["s3"]
        },
      ])
      trigger = null
    }
    unfinished = {
      definition = "reconcile.asl.json"
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
          conditions = local.key_conditions_via["dynamodb"]
        },
      ]
      trigger = null # a rule of the alerts starts it
    }
  }
}

locals {
  # A picture of a batch is in one function at a time, so as many functions run at once as pictures are in flight: 8
  # for each instance of the endpoint fit into the 10 that a new account may run. A child (statemachine/batch.asl.json)
  # keeps 8 in flight.
  endpoint_instances = var.endpoint.scaling == null ? var.endpoint.instance_count : var.endpoint.scaling.max
  batch_children = (
    var.endpoint.serverless == null
    ? local.endpoint_instances
    : max(1, floor(var.endpoint.serverless.max_concurrency / 8))
  )

  sqs_url = "https://sqs.${var.region}.${data.aws_partition.current.dns_suffix}/${local.account}"
}

module "state_machine" {
  source   = "./modules/state_machine"
  for_each = local.state_machines

  name                     = local.names.state_machines[each.key]
  arn                      = local.arns.state_machines[each.key]
  account                  = local.account
  definition_file          = "${path.root}/../statemachine/${each.value.definition}"
  statements               = each.value.statements
  trigger                  = each.value.trigger
  log_retention_days       = var.log_retention_days
  key_arn                  = local.key_arn
  permissions_boundary_arn = var.permissions_boundary_arn

  tokens = merge(local.arns.live_functions, {
    ledger_table           = local.names.ledger
    ledger_retention_days  = var.ledger_retention_days
    alert_dead_letters_url = "${local.sqs_url}/${local.names.alert_dead_letters}"
    bucket                 = local.names.bucket
    batch_children         = local.batch_children
  })

  # The trigger must not start the machine before what it calls is there.
  depends_on = [module.endpoint, module.function]
}
