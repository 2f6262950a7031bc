data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

locals {
  account      = data.aws_caller_identity.current.account_id
  partition    = data.aws_partition.current.partition
  state_bucket = "${var.project}-state-${local.account}"
  state_arn    = "arn:${local.partition}:s3:::${local.state_bucket}"
  # Also those of other projects.
  state_buckets = "arn:${local.partition}:s3:::*-state-${local.account}"

  iam = "arn:${local.partition}:iam::${local.account}"
  arn_base = { for service in [
    "application-autoscaling", "cloudwatch", "dynamodb", "ecr", "events", "kms", "lambda", "logs", "sagemaker", "sns",
    "sqs", "states",
  ] : service => "arn:${local.partition}:${service}:${var.region}:${local.account}" }

  github       = "token.actions.githubusercontent.com"
  provider_arn = coalesce(var.existing_oidc_provider_arn, "${local.iam}:oidc-provider/${local.github}")

  boundary_arns = { for name in var.environments : name => "${local.iam}:policy/${var.project}-boundary-${name}" }
  prefixes      = { for name in var.environments : name => "${var.project}-${name}" }

  # What follows "<project>-<environment>-" in the names that terraform/ gives (checked by
  # tests/terraform/test_bootstrap.py). In full, because "scones-web-*" would also be every resource of a project
  # scones-web.
  functions = ["classify-image", "filter-inferences", "report-drift", "send-alert", "serialize-image-data"]
  machines  = ["batch", "classify", "unfinished"]
  rules     = ["alarm", "digest", "drift", "object-created", "unfinished-execution", "unsettled-execution"]
  roles = concat(
    local.functions, local.machines, ["classifier", "object-created", "training", "unfinished-execution"],
  )
  queues = ["alert-dead-letters", "trigger-dead-letters"]
  topics = ["alarms", "alerts"]
  alarms = [
    "alert-dead-letters", "alert-failures", "drift", "endpoint-errors", "endpoint-latency", "idle-endpoint",
    "low-confidence-share", "slow-pictures", "stale-stream", "system-failures", "throttled-classify-image",
    "throttled-filter-inferences", "throttled-serialize-image-data", "timed-out-batch", "timed-out-classify",
    "trigger-dead-letters", "undelivered-alerts",
  ]
  # Names of models and configurations end with 12 hex digits of a hash, those of training jobs with date and time.
  hash = "????????????"
  time = "????????-??????"

  arns = { for name, prefix in local.prefixes : name => {
    # Target tracking makes alarms of its own for the scaling of an endpoint.
    alarms = [
      for it in concat(formatlist("${prefix}-%s", local.alarms), ["TargetTracking-endpoint/${prefix}-classifier/*"]) :
      "${local.arn_base.cloudwatch}:alarm:${it}"
    ]
    alias      = "${local.arn_base.kms}:alias/${prefix}"
    bucket     = "arn:${local.partition}:s3:::${prefix}-${local.account}-${var.region}"
    budget     = "arn:${local.partition}:budgets::${local.account}:budget/${prefix}"
    dashboard  = "arn:${local.partition}:cloudwatch::${local.account}:dashboard/${prefix}"
    endpoint   = "${local.arn_base.sagemaker}:endpoint/${prefix}-classifier"
    executions = [for it in local.machines : "${local.arn_base.states}:execution:${prefix}-${it}:*"]
    # Some calls name a function or a log group, others a version or a stream of it.
    functions   = [for it in local.functions : "${local.arn_base.lambda}:function:${prefix}-${it}"]
    versions    = [for it in local.functions : "${local.arn_base.lambda}:function:${prefix}-${it}:*"]
    log_groups  = [for it in local.log_groups[name] : "${local.arn_base.logs}:log-group:${it}"]
    log_streams = [for it in local.log_groups[name] : "${local.arn_base.logs}:log-group:${it}:*"]
    machines    = [for it in local.machines : "${local.arn_base.states}:stateMachine:${prefix}-${it}"]
    models = [
      for kind in ["endpoint-config", "model"] :
      "${local.arn_base.sagemaker}:${kind}/${prefix}-classifier-${local.hash}"
    ]
    queues   = [for it in local.queues : "${local.arn_base.sqs}:${prefix}-${it}"]
    registry = "${local.arn_base.ecr}:repository/${prefix}-serving"
    roles    = [for it in local.roles : "${local.iam}:role/${prefix}-${it}"]
    rules    = [for it in local.rules : "${local.arn_base.events}:rule/${prefix}-${it}"]
    state    = "${local.state_arn}/${name}/terraform.tfstate"
    table    = "${local.arn_base.dynamodb}:table/${prefix}-ledger"
    topics   = [for it in local.topics : "${local.arn_base.sns}:${prefix}-${it}"]
  } }
  log_groups = { for name, prefix in local.prefixes : name => concat(
    [for it in local.functions : "/aws/lambda/${prefix}-${it}"],
    [for it in local.machines : "/aws/vendedlogs/states/${prefix}-${it}"],
    ["/aws/sagemaker/Endpoints/${prefix}-classifier"],
  ) }
  # All training jobs of an account share one log group.
  training_logs = "${local.arn_base.logs}:log-group:/aws/sagemaker/TrainingJobs"
  training_streams = { for name, prefix in local.prefixes :
    name => "${local.training_logs}:log-stream:${prefix}-training-${local.time}/*"
  }

  # A key's id is not known before it exists; its tags are.
  keys = "${local.arn_base.kms}:key/*"
  tags = { for name in var.environments : name => {
    "aws:ResourceTag/project"     = var.project
    "aws:ResourceTag/environment" = name
  } }
}
