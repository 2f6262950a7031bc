# What an apply does, for one environment, without destroying data, logs or keys: that is a person's decision, by the
# policy in destroy.tf. Two policies, because one would exceed the 6,144 characters that AWS allows.

resource "aws_iam_policy" "access" {
  for_each = var.environments

  name        = "${var.project}-deploy-access-${each.key}"
  description = "Lets Terraform keep the state, roles and keys of ${local.prefixes[each.key]}"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "WriteState"
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = [for suffix in ["", ".tflock"] : "${local.state_arn}/${each.key}/terraform.tfstate${suffix}"]
      },
      {
        Sid      = "ReleaseLock"
        Effect   = "Allow"
        Action   = ["s3:DeleteObject"]
        Resource = ["${local.state_arn}/${each.key}/terraform.tfstate.tflock"]
      },
      {
        # Roles only ever get less than the boundary allows; otherwise whoever makes roles could make himself anything.
        Sid       = "BuildBoundedRoles"
        Effect    = "Allow"
        Action    = ["iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
        Resource  = [local.arns[each.key].roles]
        Condition = { StringEquals = { "iam:PermissionsBoundary" = local.boundary_arn } }
      },
      {
        Sid    = "KeepRoles"
        Effect = "Allow"
        Action = [
          "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:ListInstanceProfilesForRole", "iam:TagRole", "iam:UntagRole",
          "iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:UpdateRoleDescription",
        ]
        Resource = [local.arns[each.key].roles]
      },
      {
        Sid      = "HandRolesToServices"
        Effect   = "Allow"
        Action   = ["iam:PassRole"]
        Resource = [local.arns[each.key].roles]
        Condition = {
          StringEquals = { "iam:PassedToService" = [for service in ["events", "lambda", "sagemaker", "states"] : "${service}.amazonaws.com"] }
        }
      },
      {
        Sid       = "LetScalingBuildItsRole"
        Effect    = "Allow"
        Action    = ["iam:CreateServiceLinkedRole"]
        Resource  = ["arn:${local.partition}:iam::${local.account}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/*"]
        Condition = { StringEquals = { "iam:AWSServiceName" = "sagemaker.application-autoscaling.amazonaws.com" } }
      },
      {
        # A key has no name before it exists; its tags say whose it will be.
        Sid       = "BuildKeys"
        Effect    = "Allow"
        Action    = ["kms:CreateKey", "kms:TagResource"]
        Resource  = ["*"]
        Condition = { StringEquals = { "aws:RequestTag/project" = var.project, "aws:RequestTag/environment" = each.key } }
      },
      {
        # Used on behalf of the ledger, the registry and the endpoint, which take grants from it.
        Sid    = "KeepKeys"
        Effect = "Allow"
        Action = [
          "kms:CreateAlias", "kms:CreateGrant", "kms:Decrypt", "kms:EnableKeyRotation", "kms:Encrypt", "kms:GenerateDataKey",
          "kms:PutKeyPolicy", "kms:TagResource", "kms:UntagResource", "kms:UpdateAlias", "kms:UpdateKeyDescription",
        ]
        Resource  = [local.keys]
        Condition = local.key_tags[each.key]
      },
      {
        Sid      = "NameKeys"
        Effect   = "Allow"
        Action   = ["kms:CreateAlias", "kms:UpdateAlias"]
        Resource = [local.arns[each.key].aliases]
      },
    ]
  })
}

resource "aws_iam_policy" "deploy" {
  for_each = var.environments

  name        = "${var.project}-deploy-${each.key}"
  description = "Lets Terraform build ${local.prefixes[each.key]}, its data spared"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "BuildBuckets"
        Effect = "Allow"
        Action = [
          "s3:CreateBucket", "s3:PutBucketNotification", "s3:PutBucketOwnershipControls", "s3:PutBucketPolicy",
          "s3:PutBucketPublicAccessBlock", "s3:PutBucketTagging", "s3:PutBucketVersioning", "s3:PutEncryptionConfiguration",
          "s3:PutLifecycleConfiguration",
        ]
        Resource = [local.arns[each.key].buckets]
      },
      {
        Sid    = "BuildLedger"
        Effect = "Allow"
        Action = [
          "dynamodb:CreateTable", "dynamodb:TagResource", "dynamodb:UntagResource", "dynamodb:UpdateContinuousBackups",
          "dynamodb:UpdateTable", "dynamodb:UpdateTimeToLive",
        ]
        Resource = [local.arns[each.key].tables]
      },
      {
        Sid    = "BuildRegistry"
        Effect = "Allow"
        Action = [
          "ecr:CreateRepository", "ecr:PutImageScanningConfiguration", "ecr:PutImageTagMutability", "ecr:PutLifecyclePolicy",
          "ecr:TagResource", "ecr:UntagResource",
        ]
        Resource = [local.arns[each.key].registry]
      },
      {
        Sid      = "BuildRules"
        Effect   = "Allow"
        Action   = ["events:DeleteRule", "events:PutRule", "events:PutTargets", "events:RemoveTargets", "events:TagResource", "events:UntagResource"]
        Resource = [local.arns[each.key].rules]
      },
      {
        Sid    = "BuildFunctions"
        Effect = "Allow"
        Action = [
          "lambda:AddPermission", "lambda:CreateAlias", "lambda:CreateFunction", "lambda:DeleteAlias", "lambda:DeleteFunction",
          "lambda:DeleteFunctionEventInvokeConfig", "lambda:PublishVersion", "lambda:PutFunctionEventInvokeConfig",
          "lambda:RemovePermission", "lambda:TagResource", "lambda:UntagResource", "lambda:UpdateAlias",
          "lambda:UpdateFunctionCode", "lambda:UpdateFunctionConfiguration", "lambda:UpdateFunctionEventInvokeConfig",
        ]
        Resource = [local.arns[each.key].functions]
      },
      {
        Sid      = "BuildLogGroups"
        Effect   = "Allow"
        Action   = ["logs:AssociateKmsKey", "logs:CreateLogGroup", "logs:PutRetentionPolicy", "logs:TagResource", "logs:UntagResource"]
        Resource = [local.arns[each.key].log_groups]
      },
      {
        Sid    = "BuildEndpoints"
        Effect = "Allow"
        Action = [
          "sagemaker:AddTags", "sagemaker:CreateEndpoint", "sagemaker:CreateEndpointConfig", "sagemaker:CreateModel",
          "sagemaker:DeleteEndpoint", "sagemaker:DeleteEndpointConfig", "sagemaker:DeleteModel", "sagemaker:DeleteTags",
          "sagemaker:UpdateEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities",
        ]
        Resource = local.arns[each.key].models
      },
      {
        # Targets have ids of their own, so the service they scale narrows them down.
        Sid    = "BuildScaling"
        Effect = "Allow"
        Action = [
          "application-autoscaling:DeleteScalingPolicy", "application-autoscaling:DeregisterScalableTarget",
          "application-autoscaling:PutScalingPolicy", "application-autoscaling:RegisterScalableTarget",
          "application-autoscaling:TagResource", "application-autoscaling:UntagResource",
        ]
        Resource  = ["${local.arn_base["application-autoscaling"]}:scalable-target/*"]
        Condition = { StringEqualsIfExists = { "application-autoscaling:service-namespace" = "sagemaker" } }
      },
      {
        Sid      = "BuildAlarms"
        Effect   = "Allow"
        Action   = ["cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "cloudwatch:UntagResource"]
        Resource = local.arns[each.key].alarms
      },
      {
        Sid      = "BuildDashboards"
        Effect   = "Allow"
        Action   = ["cloudwatch:DeleteDashboards", "cloudwatch:PutDashboard"]
        Resource = [local.arns[each.key].dashboards]
      },
      {
        Sid    = "BuildTopics"
        Effect = "Allow"
        Action = [
          "sns:CreateTopic", "sns:DeleteTopic", "sns:SetTopicAttributes", "sns:Subscribe", "sns:TagResource", "sns:UntagResource",
        ]
        Resource = [local.arns[each.key].topics]
      },
      {
        # IAM knows no resource for subscriptions, not even their topic.
        Sid      = "ChangeSubscriptions"
        Effect   = "Allow"
        Action   = ["sns:SetSubscriptionAttributes", "sns:Unsubscribe"]
        Resource = ["*"]
      },
      {
        Sid      = "BuildQueues"
        Effect   = "Allow"
        Action   = ["sqs:CreateQueue", "sqs:SetQueueAttributes", "sqs:TagQueue", "sqs:UntagQueue"]
        Resource = [local.arns[each.key].queues]
      },
      {
        Sid    = "BuildStateMachines"
        Effect = "Allow"
        Action = [
          "states:CreateStateMachine", "states:DeleteStateMachine", "states:TagResource", "states:UntagResource",
          "states:UpdateStateMachine",
        ]
        Resource = [local.arns[each.key].machines]
      },
      {
        Sid      = "BuildBudgets"
        Effect   = "Allow"
        Action   = ["budgets:ModifyBudget", "budgets:TagResource", "budgets:UntagResource"]
        Resource = [local.arns[each.key].budgets]
      },
    ]
  })
}
