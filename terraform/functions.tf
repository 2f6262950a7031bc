# The functions: size, settings and permissions of each. Timeouts (seconds) stay below those of the tasks in
# statemachine/, so that a slow function ends with its own error and log instead of being cut off from outside.

module "function" {
  source   = "./modules/function"
  for_each = local.functions

  name                     = local.names.functions[each.key]
  description              = each.value.description
  handler                  = "functions.${each.key}.handler.lambda_handler"
  package                  = "${var.package_dir}/${each.key}.zip"
  runtime                  = local.packages.runtime
  architecture             = local.packages.architecture
  memory_mb                = each.value.memory_mb
  timeout_seconds          = each.value.timeout_seconds
  statements               = each.value.statements
  alias                    = local.live
  log_group_arn            = "${local.arn_base.logs}:log-group:/aws/lambda/${local.names.functions[each.key]}"
  log_retention_days       = var.log_retention_days
  key_arn                  = local.key_arn
  permissions_boundary_arn = var.permissions_boundary_arn

  environment = merge(each.value.environment, {
    POWERTOOLS_LOG_LEVEL         = "INFO"
    POWERTOOLS_METRICS_NAMESPACE = local.prefix
    POWERTOOLS_SERVICE_NAME      = each.key
  })
}

locals {
  # Each folder of functions/ is one zip and one function.
  folders  = ["serialize_image_data", "classify_image", "filter_inferences", "send_alert", "report_drift"]
  manifest = "${var.package_dir}/manifest.json"
  packages = jsondecode(fileexists(local.manifest) ? file(local.manifest) : "{}")

  # "live" is the alias that everything calls; its version moves with each change of a function.
  live = "live"

  functions = {
    serialize_image_data = {
      description     = "Reads a picture and makes the small PNG that the model takes."
      memory_mb       = 2048 # a picture of 50 megapixels is 150 MB of RGB, twice while it is converted
      timeout_seconds = 28
      environment = merge(
        { BUCKET = local.names.bucket },
        { for model in var.model[*] : "INPUT_SIZE" => model.input_size },
      )
      statements = [
        {
          sid       = "ReadPictures"
          actions   = ["s3:GetObject", "s3:GetObjectVersion"]
          resources = ["${local.arns.bucket}/*"]
        },
        {
          # Without it S3 answers 403, not 404, for a missing picture.
          sid       = "TellMissingFromForbidden"
          actions   = ["s3:ListBucket"]
          resources = [local.arns.bucket]
        },
        {
          sid        = "DecryptPictures"
          actions    = ["kms:Decrypt"]
          resources  = local.key_resources
          conditions = local.key_conditions_via["s3"]
        },
      ]
    }
    classify_image = {
      description     = "Asks the endpoint for the probabilities of a picture's classes."
      memory_mb       = 256
      timeout_seconds = 28
      environment = merge(
        { ENDPOINT_NAME = local.names.endpoint },
        { for model in var.model[*] : "LABELS" => jsonencode(model.labels) },
      )
      statements = [
        {
          sid       = "InvokeEndpoint"
          actions   = ["sagemaker:InvokeEndpoint"]
          resources = [local.arns.endpoint]
        },
      ]
    }
    filter_inferences = {
      description     = "Accepts a picture when a class of interest reaches the threshold, and raises otherwise."
      memory_mb       = 256
      timeout_seconds = 10
      environment = merge([for model in var.model[*] : {
        LABELS              = jsonencode(model.labels)
        CLASSES_OF_INTEREST = jsonencode(model.classes_of_interest)
        # By model: during a roll-out, and after one that SageMaker took back, the former model answers.
        THRESHOLDS = jsonencode({
          for name, threshold in merge(model.former, { (model.name) = model.threshold }) :
          name => coalesce(var.threshold, threshold)
        })
      }]...)
      statements = []
    }
    send_alert = {
      description     = "Turns what happened into an alert that people can act on."
      memory_mb       = 256
      timeout_seconds = 28
      environment = {
        BUCKET       = local.names.bucket
        TOPIC_ARN    = local.arns.alerts_topic
        ENVIRONMENT  = local.prefix
        LEDGER_TABLE = local.names.ledger
        RUNBOOK_URL  = var.runbook_url
      }
      statements = [
        {
          sid       = "PublishAlerts"
          actions   = ["sns:Publish"]
          resources = [local.arns.alerts_topic]
        },
        {
          # Counts a batch's outcomes for its summary.
          sid       = "ReadResults"
          actions   = ["s3:GetObject"]
          resources = ["${local.arns.bucket}/results/*"]
        },
        {
          sid        = "ListResults"
          actions    = ["s3:ListBucket"]
          resources  = [local.arns.bucket]
          conditions = { StringLike = { "s3:prefix" = ["results/*"] } }
        },
        {
          sid        = "DecryptResults"
          actions    = ["kms:Decrypt"]
          resources  = local.key_resources
          conditions = local.key_conditions_via["s3"]
        },
        {
          # Counts what waits, for the digest.
          sid       = "ReadWhatWaits"
          actions   = ["dynamodb:Query"]
          resources = ["${local.arns.ledger}/index/attention"]
        },
        {
          sid        = "DecryptLedger"
          actions    = ["kms:Decrypt"]
          resources  = local.key_resources
          conditions = local.key_conditions_via["dynamodb"]
        },
        {
          sid        = "EncryptAlerts"
          actions    = ["kms:Decrypt", "kms:GenerateDataKey"]
          resources  = local.key_resources
          conditions = local.key_conditions_via["sns"]
        },
        {
          sid       = "KeepUnsentAlerts"
          actions   = ["sqs:SendMessage"]
          resources = [local.arns.alert_dead_letters]
        },
      ]
    }
    report_drift = {
      description     = "Compares the latest pictures with the model's baseline, and tells when they have changed."
      memory_mb       = 256
      timeout_seconds = 120 # two windows, each of at most 500 pages of the ledger
      environment = {
        BUCKET       = local.names.bucket
        LEDGER_TABLE = local.names.ledger
        SEND_ALERT   = local.arns.live_functions["send_alert"]
      }
      statements = [
        {
          sid       = "ReadLedger"
          actions   = ["dynamodb:Scan"]
          resources = [local.arns.ledger]
        },
        {
          sid        = "DecryptLedger"
          actions    = ["kms:Decrypt"]
          resources  = local.key_resources
          conditions = local.key_conditions_via["dynamodb"]
        },
        {
          sid       = "ReadBaselines"
          actions   = ["s3:GetObject"]
          resources = ["${local.arns.bucket}/models/*/baseline.json"]
        },
        {
          # Without it S3 answers 403, not 404, for a model without a baseline.
          sid        = "TellMissingFromForbidden"
          actions    = ["s3:ListBucket"]
          resources  = [local.arns.bucket]
          conditions = { StringLike = { "s3:prefix" = ["models/*"] } }
        },
        {
          sid        = "DecryptBaselines"
          actions    = ["kms:Decrypt"]
          resources  = local.key_resources
          conditions = local.key_conditions_via["s3"]
        },
        {
          sid       = "AskForAlerts"
          actions   = ["lambda:InvokeFunction"]
          resources = [local.arns.live_functions["send_alert"]]
        },
        {
          sid       = "KeepFailedCalls"
          actions   = ["sqs:SendMessage"]
          resources = [local.arns.alert_dead_letters]
        },
      ]
    }
  }
}
