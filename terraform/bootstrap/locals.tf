data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account      = data.aws_caller_identity.current.account_id
  partition    = data.aws_partition.current.partition
  state_bucket = "${var.project}-state-${local.account}"
  state_arn    = "arn:${local.partition}:s3:::${local.state_bucket}"

  github       = "token.actions.githubusercontent.com"
  provider_arn = coalesce(var.existing_oidc_provider_arn, "arn:${local.partition}:iam::${local.account}:oidc-provider/${local.github}")

  boundary_arn = "arn:${local.partition}:iam::${local.account}:policy/${var.project}-boundary"

  # Every name begins with <project>-<environment>, so a pattern for each kind of resource covers a deployment.
  arn_base = { for service in ["application-autoscaling", "cloudwatch", "dynamodb", "ecr", "events", "kms", "lambda", "logs", "sagemaker", "sns", "sqs", "states"] :
    service => "arn:${local.partition}:${service}:${var.region}:${local.account}"
  }
  prefixes = merge({ all = var.project }, { for name in var.environments : name => "${var.project}-${name}" })
  # What is named like the deployment itself, not after it: "scones-dev*" would be "scones-dev2", too.
  own_names = { for scope, prefix in local.prefixes : scope => scope == "all" ? "${prefix}-*" : prefix }
  arns = { for scope, prefix in local.prefixes : scope => {
    # Target tracking makes alarms of its own for the scaling of an endpoint.
    alarms     = [for name in ["${prefix}-*", "TargetTracking-endpoint/${prefix}-*"] : "${local.arn_base.cloudwatch}:alarm:${name}"]
    aliases    = "${local.arn_base.kms}:alias/${local.own_names[scope]}"
    budgets    = "arn:${local.partition}:budgets::${local.account}:budget/${local.own_names[scope]}"
    buckets    = "arn:${local.partition}:s3:::${prefix}-*"
    dashboards = "arn:${local.partition}:cloudwatch::${local.account}:dashboard/${local.own_names[scope]}"
    functions  = "${local.arn_base.lambda}:function:${prefix}-*"
    log_groups = "${local.arn_base.logs}:log-group:/aws/*${prefix}-*"
    machines   = "${local.arn_base.states}:stateMachine:${prefix}-*"
    models     = [for kind in ["endpoint", "endpoint-config", "model"] : "${local.arn_base.sagemaker}:${kind}/${prefix}-*"]
    queues     = "${local.arn_base.sqs}:${prefix}-*"
    registry   = "${local.arn_base.ecr}:repository/${prefix}-*"
    roles      = "arn:${local.partition}:iam::${local.account}:role/${prefix}-*"
    rules      = "${local.arn_base.events}:rule/${prefix}-*"
    tables     = "${local.arn_base.dynamodb}:table/${prefix}-*"
    topics     = "${local.arn_base.sns}:${prefix}-*"
  } }

  # A key's id is not known before it exists; its tags are.
  keys     = "${local.arn_base.kms}:key/*"
  key_tags = { for name in var.environments : name => { StringEquals = { "aws:ResourceTag/project" = var.project, "aws:ResourceTag/environment" = name } } }
}
