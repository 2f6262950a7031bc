# What a plan reads: every setting of the project, and its state; no picture, no log, no message.

resource "aws_iam_policy" "read" {
  name        = "${var.project}-read"
  description = "Lets Terraform plan ${var.project}: reads settings and state, changes nothing"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ReadState"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = ["${local.state_arn}/*/terraform.tfstate"]
      },
      {
        Sid      = "FindState"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = [local.state_arn]
      },
      {
        # Names of pictures are no setting, but HeadBucket asks for s3:ListBucket.
        Sid    = "ReadBuckets"
        Effect = "Allow"
        Action = [
          "s3:GetAccelerateConfiguration", "s3:GetBucketAcl", "s3:GetBucketCORS", "s3:GetBucketLogging", "s3:GetBucketNotification",
          "s3:GetBucketObjectLockConfiguration", "s3:GetBucketOwnershipControls", "s3:GetBucketPolicy",
          "s3:GetBucketPublicAccessBlock", "s3:GetBucketRequestPayment", "s3:GetBucketTagging", "s3:GetBucketVersioning",
          "s3:GetBucketWebsite", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration",
          "s3:GetReplicationConfiguration", "s3:ListBucket",
        ]
        Resource = [local.arns.all.buckets]
      },
      {
        Sid      = "ReadLedger"
        Effect   = "Allow"
        Action   = ["dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:ListTagsOfResource"]
        Resource = [local.arns.all.tables]
      },
      {
        Sid      = "ReadRegistry"
        Effect   = "Allow"
        Action   = ["ecr:DescribeRepositories", "ecr:GetLifecyclePolicy", "ecr:ListTagsForResource"]
        Resource = [local.arns.all.registry]
      },
      {
        Sid      = "ReadRules"
        Effect   = "Allow"
        Action   = ["events:DescribeRule", "events:ListTagsForResource", "events:ListTargetsByRule"]
        Resource = [local.arns.all.rules]
      },
      {
        Sid      = "ReadRoles"
        Effect   = "Allow"
        Action   = ["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"]
        Resource = [local.arns.all.roles]
      },
      {
        Sid       = "ReadKeys"
        Effect    = "Allow"
        Action    = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"]
        Resource  = [local.keys]
        Condition = { StringEquals = { "aws:ResourceTag/project" = var.project } }
      },
      {
        Sid    = "ReadFunctions"
        Effect = "Allow"
        Action = [
          "lambda:GetAlias", "lambda:GetFunction", "lambda:GetFunctionCodeSigningConfig", "lambda:GetFunctionConfiguration",
          "lambda:GetFunctionEventInvokeConfig", "lambda:GetPolicy", "lambda:ListTags", "lambda:ListVersionsByFunction",
        ]
        Resource = [local.arns.all.functions]
      },
      {
        Sid      = "ReadLogGroups"
        Effect   = "Allow"
        Action   = ["logs:ListTagsForResource"]
        Resource = [local.arns.all.log_groups]
      },
      {
        Sid      = "ReadEndpoints"
        Effect   = "Allow"
        Action   = ["sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig", "sagemaker:DescribeModel", "sagemaker:ListTags"]
        Resource = local.arns.all.models
      },
      {
        Sid      = "ReadAlarms"
        Effect   = "Allow"
        Action   = ["cloudwatch:GetDashboard", "cloudwatch:ListTagsForResource"]
        Resource = concat(local.arns.all.alarms, [local.arns.all.dashboards])
      },
      {
        Sid      = "ReadTopics"
        Effect   = "Allow"
        Action   = ["sns:GetTopicAttributes", "sns:ListTagsForResource"]
        Resource = [local.arns.all.topics]
      },
      {
        Sid      = "ReadQueues"
        Effect   = "Allow"
        Action   = ["sqs:GetQueueAttributes", "sqs:ListQueueTags"]
        Resource = [local.arns.all.queues]
      },
      {
        Sid      = "ReadStateMachines"
        Effect   = "Allow"
        Action   = ["states:DescribeStateMachine", "states:ListStateMachineVersions", "states:ListTagsForResource"]
        Resource = [local.arns.all.machines]
      },
      {
        Sid      = "ReadBudgets"
        Effect   = "Allow"
        Action   = ["budgets:ListTagsForResource", "budgets:ViewBudget"]
        Resource = [local.arns.all.budgets]
      },
      {
        Sid      = "ReadScalingTags"
        Effect   = "Allow"
        Action   = ["application-autoscaling:ListTagsForResource"]
        Resource = ["${local.arn_base["application-autoscaling"]}:scalable-target/*"]
      },
      {
        # These list or judge what has no resource to name.
        Sid    = "ReadWhatHasNoName"
        Effect = "Allow"
        Action = [
          "application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScalingPolicies",
          "cloudwatch:DescribeAlarms", "kms:ListAliases", "logs:DescribeLogGroups", "sns:GetSubscriptionAttributes", "states:ValidateStateMachineDefinition",
        ]
        Resource = ["*"]
      },
    ]
  })
}
