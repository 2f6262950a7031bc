# What a plan of an environment reads: its settings and its state, but no picture, log or message.

resource "aws_iam_policy" "environment_read" {
  for_each = var.environments

  name        = "${var.project}-read-${each.key}"
  description = "Lets Terraform plan ${local.prefixes[each.key]}: reads settings and state, changes nothing"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ReadState"
        Effect   = "Allow"
        Action   = ["s3:GetObject"]
        Resource = [local.arns[each.key].state]
      },
      {
        Sid      = "FindState"
        Effect   = "Allow"
        Action   = ["s3:ListBucket"]
        Resource = [local.state_arn]
      },
      {
        # Names of pictures are not settings, but HeadBucket requires s3:ListBucket.
        Sid    = "ReadBuckets"
        Effect = "Allow"
        Action = [
          "s3:GetAccelerateConfiguration", "s3:GetBucketAcl", "s3:GetBucketCORS", "s3:GetBucketLogging",
          "s3:GetBucketNotification", "s3:GetBucketObjectLockConfiguration", "s3:GetBucketOwnershipControls",
          "s3:GetBucketPolicy", "s3:GetBucketPublicAccessBlock", "s3:GetBucketRequestPayment", "s3:GetBucketTagging",
          "s3:GetBucketVersioning", "s3:GetBucketWebsite", "s3:GetEncryptionConfiguration",
          "s3:GetLifecycleConfiguration", "s3:GetReplicationConfiguration", "s3:ListBucket",
        ]
        Resource = [local.arns[each.key].bucket]
      },
      {
        Sid    = "ReadLedger"
        Effect = "Allow"
        Action = [
          "dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive",
          "dynamodb:ListTagsOfResource",
        ]
        Resource = [local.arns[each.key].table]
      },
      {
        Sid      = "ReadRegistry"
        Effect   = "Allow"
        Action   = ["ecr:DescribeRepositories", "ecr:GetLifecyclePolicy", "ecr:ListTagsForResource"]
        Resource = [local.arns[each.key].registry]
      },
      {
        Sid      = "ReadRoles"
        Effect   = "Allow"
        Action   = ["iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies", "iam:ListRolePolicies"]
        Resource = local.arns[each.key].roles
      },
      {
        Sid       = "ReadKeys"
        Effect    = "Allow"
        Action    = ["kms:DescribeKey", "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags"]
        Resource  = [local.keys]
        Condition = { StringEquals = local.tags[each.key] }
      },
      {
        Sid    = "ReadFunctions"
        Effect = "Allow"
        Action = [
          "lambda:GetAlias", "lambda:GetFunction", "lambda:GetFunctionCodeSigningConfig",
          "lambda:GetFunctionConfiguration", "lambda:GetFunctionEventInvokeConfig", "lambda:GetPolicy",
          "lambda:ListTags", "lambda:ListVersionsByFunction",
        ]
        Resource = concat(local.arns[each.key].functions, local.arns[each.key].versions)
      },
      {
        Sid    = "ReadEndpoints"
        Effect = "Allow"
        Action = [
          "sagemaker:DescribeEndpoint", "sagemaker:DescribeEndpointConfig", "sagemaker:DescribeModel",
          "sagemaker:ListTags",
        ]
        Resource = concat([local.arns[each.key].endpoint], local.arns[each.key].models)
      },
      {
        Sid      = "ReadStateMachines"
        Effect   = "Allow"
        Action   = ["states:DescribeStateMachine", "states:ListStateMachineVersions", "states:ListTagsForResource"]
        Resource = local.arns[each.key].machines
      },
      {
        Sid      = "ReadBudgets"
        Effect   = "Allow"
        Action   = ["budgets:ListTagsForResource", "budgets:ViewBudget"]
        Resource = [local.arns[each.key].budget]
      },
      {
        Sid       = "ReadScalingTags"
        Effect    = "Allow"
        Action    = ["application-autoscaling:ListTagsForResource"]
        Resource  = ["${local.arn_base["application-autoscaling"]}:scalable-target/*"]
        Condition = { StringEqualsIfExists = local.tags[each.key] }
      },
      {
        # These list or check what has no resource to name.
        Sid    = "ReadWhatHasNoName"
        Effect = "Allow"
        Action = [
          "application-autoscaling:DescribeScalableTargets", "application-autoscaling:DescribeScalingPolicies",
          "cloudwatch:DescribeAlarms", "kms:ListAliases", "logs:DescribeLogGroups", "sns:GetSubscriptionAttributes",
          "states:ValidateStateMachineDefinition",
        ]
        Resource = ["*"]
      },
    ]
  })
}

# The former policy, one for the project, may be attached to people, and AWS deletes no policy in use.
removed {
  from = aws_iam_policy.read

  lifecycle {
    destroy = false
  }
}
