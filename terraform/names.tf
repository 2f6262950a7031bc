# Every name and ARN is known before the first apply, so that policies and state machines are readable in a plan.
# An ARN does not refer to the resource that it names: where an order matters, the module call says so.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
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

  arn_base = { for service in [
    "cloudwatch", "dynamodb", "ecr", "events", "kms", "lambda", "logs", "sagemaker", "sns", "sqs", "states",
  ] : service => "arn:${local.partition}:${service}:${var.region}:${local.account}" }

  arns = {
    bucket               = "arn:${local.partition}:s3:::${local.names.bucket}"
    ledger               = "${local.arn_base.dynamodb}:table/${local.names.ledger}"
    endpoint             = "${local.arn_base.sagemaker}:endpoint/${local.names.endpoint}"
    repository           = "${local.arn_base.ecr}:repository/${local.names.repository}"
    alerts_topic         = "${local.arn_base.sns}:${local.names.alerts_topic}"
    alarms_topic         = "${local.arn_base.sns}:${local.names.alarms_topic}"
    alert_dead_letters   = "${local.arn_base.sqs}:${local.names.alert_dead_letters}"
    trigger_dead_letters = "${local.arn_base.sqs}:${local.names.trigger_dead_letters}"
    trigger_rule         = "${local.arn_base.events}:rule/${local.names.trigger_rule}"
    unfinished_rule      = "${local.arn_base.events}:rule/${local.names.unfinished_rule}"
    unsettled_rule       = "${local.arn_base.events}:rule/${local.names.unsettled_rule}"
    alarms_rule          = "${local.arn_base.events}:rule/${local.names.alarms_rule}"
    schedules            = { for key, name in local.names.schedules : key => "${local.arn_base.events}:rule/${name}" }
    alarms               = "${local.arn_base.cloudwatch}:alarm:${local.prefix}-*"

    live_functions = { for folder, name in local.names.functions :
      folder => "${local.arn_base.lambda}:function:${name}:${local.live}"
    }
    state_machines = { for key, name in local.names.state_machines :
      key => "${local.arn_base.states}:stateMachine:${name}"
    }
    log_groups = [for name in concat(
      [for name in values(local.names.functions) : "/aws/lambda/${name}"],
      [for name in values(local.names.state_machines) : "/aws/vendedlogs/states/${name}"],
      ["/aws/sagemaker/Endpoints/${local.names.endpoint}"],
    ) : "${local.arn_base.logs}:log-group:${name}"]
  }
}
