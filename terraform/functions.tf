# What distinguishes the functions: size, settings and permissions. Timeouts (seconds) stay below those of the
# tasks in statemachine/, so that a slow function ends with its own error and log, not cut off from outside.

locals {
  functions = {
    serialize_image_data = {
      description     = "Reads a picture and makes the small PNG that the model takes."
      memory_mb       = 2048 # a picture of 50 megapixels is 150 MB of RGB, twice while it is converted
      timeout_seconds = 28
      environment     = merge({ BUCKET = local.names.bucket }, { for model in var.model[*] : "INPUT_SIZE" => model.input_size })
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
          conditions = merge(local.key_conditions, { StringEquals = { "kms:ViaService" = ["s3.${var.region}.amazonaws.com"] } })
        },
      ]
    }
    classify_image = {
      description     = "Asks the endpoint for the probabilities of a picture's classes."
      memory_mb       = 256
      timeout_seconds = 28
      environment     = merge({ ENDPOINT_NAME = local.names.endpoint }, { for model in var.model[*] : "LABELS" => jsonencode(model.labels) })
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
        # By model: while a roll-out lasts, and after one that SageMaker took back, the former model answers.
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
          conditions = merge(local.key_conditions, { StringEquals = { "kms:ViaService" = ["s3.${var.region}.amazonaws.com"] } })
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
          conditions = merge(local.key_conditions, { StringEquals = { "kms:ViaService" = ["dynamodb.${var.region}.amazonaws.com"] } })
        },
        {
          sid        = "EncryptAlerts"
          actions    = ["kms:Decrypt", "kms:GenerateDataKey"]
          resources  = local.key_resources
          conditions = merge(local.key_conditions, { StringEquals = { "kms:ViaService" = ["sns.${var.region}.amazonaws.com"] } })
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
          conditions = merge(local.key_conditions, { StringEquals = { "kms:ViaService" = ["dynamodb.${var.region}.amazonaws.com"] } })
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
          conditions = merge(local.key_conditions, { StringEquals = { "kms:ViaService" = ["s3.${var.region}.amazonaws.com"] } })
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
