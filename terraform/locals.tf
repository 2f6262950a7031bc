# Every name and ARN is known before the first apply, so that policies and state machines are readable in a plan.
# ARNs carry no reference to the resources they name: where an order matters, the module call says so.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  # Each folder of functions/ is one zip and one function.
  folders = ["serialize_image_data", "classify_image", "filter_inferences", "send_alert", "report_drift"]

  prefix    = "${var.project}-${var.environment}"
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition

  names = {
    key_alias            = "alias/${local.prefix}"
    bucket               = "${local.prefix}-${local.account}-${var.region}"
    ledger               = "${local.prefix}-ledger"
    endpoint             = "${local.prefix}-classifier"
    repository           = "${local.prefix}-serving"
    training             = "${local.prefix}-training"
    alerts_topic         = "${local.prefix}-alerts"
    alarms_topic         = "${local.prefix}-alarms"
    alert_dead_letters   = "${local.prefix}-alert-dead-letters"
    trigger_dead_letters = "${local.prefix}-trigger-dead-letters"
    trigger_rule         = "${local.prefix}-object-created"
    unfinished_rule      = "${local.prefix}-unfinished-execution"
    unsettled_rule       = "${local.prefix}-unsettled-execution"
    alarms_rule          = "${local.prefix}-alarm"
    schedules            = { for name in ["digest", "drift"] : name => "${local.prefix}-${name}" }
    functions            = { for folder in local.folders : folder => "${local.prefix}-${replace(folder, "_", "-")}" }
    state_machines       = { for name in ["classify", "batch", "unfinished"] : name => "${local.prefix}-${name}" }
  }

  # What the endpoint serves; null where there is no endpoint.
  served_model = var.endpoint.enabled ? var.model : null

  # "live" is the alias that everything calls; its version moves with each change of a function.
  live = "live"

  arn_base = { for service in ["cloudwatch", "dynamodb", "ecr", "events", "kms", "lambda", "logs", "sagemaker", "sns", "sqs", "states"] :
    service => "arn:${local.partition}:${service}:${var.region}:${local.account}"
  }
  arns = {
    bucket               = "arn:${local.partition}:s3:::${local.names.bucket}"
    ledger               = "${local.arn_base.dynamodb}:table/${local.names.ledger}"
    endpoint             = "${local.arn_base.sagemaker}:endpoint/${local.names.endpoint}"
    alerts_topic         = "${local.arn_base.sns}:${local.names.alerts_topic}"
    alarms_topic         = "${local.arn_base.sns}:${local.names.alarms_topic}"
    alert_dead_letters   = "${local.arn_base.sqs}:${local.names.alert_dead_letters}"
    trigger_dead_letters = "${local.arn_base.sqs}:${local.names.trigger_dead_letters}"
    alarms               = "${local.arn_base.cloudwatch}:alarm:${local.prefix}-*"
    alert_path_alarms    = [for name in keys(local.alert_path_alarms) : "${local.arn_base.cloudwatch}:alarm:${local.prefix}-${name}"]
    trigger_rule         = "${local.arn_base.events}:rule/${local.names.trigger_rule}"
    unfinished_rule      = "${local.arn_base.events}:rule/${local.names.unfinished_rule}"
    unsettled_rule       = "${local.arn_base.events}:rule/${local.names.unsettled_rule}"
    alarms_rule          = "${local.arn_base.events}:rule/${local.names.alarms_rule}"
    schedules            = { for key, name in local.names.schedules : key => "${local.arn_base.events}:rule/${name}" }
    live_functions       = { for folder, name in local.names.functions : folder => "${local.arn_base.lambda}:function:${name}:${local.live}" }
    state_machines       = { for key, name in local.names.state_machines : key => "${local.arn_base.states}:stateMachine:${name}" }

    log_groups = [for name in concat(
      [for name in values(local.names.functions) : "/aws/lambda/${name}"],
      [for name in values(local.names.state_machines) : "/aws/vendedlogs/states/${name}"],
      ["/aws/sagemaker/Endpoints/${local.names.endpoint}"],
    ) : "${local.arn_base.logs}:log-group:${name}"]
  }

  alert_dead_letters_url = "https://sqs.${var.region}.${data.aws_partition.current.dns_suffix}/${local.account}/${local.names.alert_dead_letters}"

  # A picture of a batch is in one function at a time, so as many functions run at once as pictures are in flight: 8
  # for each instance of the endpoint fit into the 10 that a new account may run. A child (statemachine/batch.asl.json)
  # keeps 8 in flight.
  endpoint_instances = var.endpoint.scaling == null ? var.endpoint.instance_count : var.endpoint.scaling.max
  batch_children     = var.endpoint.serverless == null ? local.endpoint_instances : max(1, floor(var.endpoint.serverless.max_concurrency / 8))

  # AWS's own PyTorch container, which most regions offer from this account.
  training_image_uri = coalesce(var.training_image_uri, "763104351884.dkr.ecr.${var.region}.${data.aws_partition.current.dns_suffix}/pytorch:2.14.0-cu133-amzn2023-sagemaker")

  # A key of our own gets its id when it is created, so policies recognise it by its alias.
  key_arn        = coalesce(var.existing_key_arn, one(values(module.key)[*].arn))
  key_resources  = [coalesce(var.existing_key_arn, "${local.arn_base.kms}:key/*")]
  key_conditions = { for operator, test in { "ForAnyValue:StringEquals" = { "kms:ResourceAliases" = [local.names.key_alias] } } : operator => test if var.existing_key_arn == null }

  packages = jsondecode(fileexists("${var.package_dir}/manifest.json") ? file("${var.package_dir}/manifest.json") : "{}")
}
