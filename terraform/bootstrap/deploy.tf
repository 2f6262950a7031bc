# What an apply does, for one environment. It does not decide what becomes of data, logs and keys: a person does, with
# the policy in destroy.tf. watch.tf has the rest, because AWS allows a policy 6,144 characters.

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
        Resource = [local.arns[each.key].state, "${local.arns[each.key].state}.tflock"]
      },
      {
        Sid      = "ReleaseLock"
        Effect   = "Allow"
        Action   = ["s3:DeleteObject"]
        Resource = ["${local.arns[each.key].state}.tflock"]
      },
      {
        # An environment has no business with the settings of any project's bucket of states.
        Sid    = "KeepAwayFromStateBuckets"
        Effect = "Deny"
        Action = [
          "s3:CreateBucket", "s3:DeleteBucket", "s3:DeleteBucketPolicy", "s3:DeleteObjectVersion",
          "s3:PutBucketNotification", "s3:PutBucketOwnershipControls", "s3:PutBucketPolicy",
          "s3:PutBucketPublicAccessBlock", "s3:PutBucketTagging", "s3:PutBucketVersioning",
          "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration",
        ]
        Resource = [local.state_buckets, "${local.state_buckets}/*"]
      },
      {
        # No role gets more than the boundary allows; otherwise anyone who makes roles could gain any right.
        Sid       = "BuildBoundedRoles"
        Effect    = "Allow"
        Action    = ["iam:CreateRole", "iam:PutRolePermissionsBoundary", "iam:PutRolePolicy"]
        Resource  = local.arns[each.key].roles
        Condition = { StringEquals = { "iam:PermissionsBoundary" = local.boundary_arns[each.key] } }
      },
      {
        Sid    = "KeepRoles"
        Effect = "Allow"
        Action = [
          "iam:DeleteRole", "iam:DeleteRolePolicy", "iam:ListInstanceProfilesForRole", "iam:TagRole", "iam:UntagRole",
          "iam:UpdateAssumeRolePolicy", "iam:UpdateRole", "iam:UpdateRoleDescription",
        ]
        Resource = local.arns[each.key].roles
      },
      {
        Sid      = "HandRolesToServices"
        Effect   = "Allow"
        Action   = ["iam:PassRole"]
        Resource = local.arns[each.key].roles
        Condition = {
          StringEquals = {
            "iam:PassedToService" = [for it in ["events", "lambda", "sagemaker", "states"] : "${it}.amazonaws.com"]
          }
        }
      },
      {
        Sid       = "LetScalingBuildItsRole"
        Effect    = "Allow"
        Action    = ["iam:CreateServiceLinkedRole"]
        Resource  = ["${local.iam}:role/aws-service-role/sagemaker.application-autoscaling.amazonaws.com/*"]
        Condition = { StringEquals = { "iam:AWSServiceName" = "sagemaker.application-autoscaling.amazonaws.com" } }
      },
      {
        # A key has no name before it exists; its tags say which deployment it will belong to.
        Sid      = "BuildKeys"
        Effect   = "Allow"
        Action   = ["kms:CreateKey", "kms:TagResource"]
        Resource = ["*"]
        Condition = {
          StringEquals = { "aws:RequestTag/project" = var.project, "aws:RequestTag/environment" = each.key }
          # Tags decide which deployment a key belongs to, so nobody may overwrite another deployment's.
          Null = { "aws:ResourceTag/project" = "true" }
        }
      },
      {
        # Used on behalf of the ledger, the registry and the endpoint, which need grants of the key.
        Sid    = "KeepKeys"
        Effect = "Allow"
        Action = [
          "kms:CreateAlias", "kms:CreateGrant", "kms:Decrypt", "kms:EnableKeyRotation", "kms:Encrypt",
          "kms:GenerateDataKey", "kms:TagResource", "kms:UntagResource", "kms:UpdateAlias", "kms:UpdateKeyDescription",
        ]
        Resource  = [local.keys]
        Condition = { StringEquals = local.tags[each.key] }
      },
      {
        Sid      = "NameKeys"
        Effect   = "Allow"
        Action   = ["kms:CreateAlias", "kms:UpdateAlias"]
        Resource = [local.arns[each.key].alias]
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
        Sid      = "BuildBuckets"
        Effect   = "Allow"
        Action   = ["s3:CreateBucket", "s3:PutBucketNotification", "s3:PutBucketTagging"]
        Resource = [local.arns[each.key].bucket]
      },
      {
        Sid      = "BuildLedger"
        Effect   = "Allow"
        Action   = ["dynamodb:CreateTable", "dynamodb:TagResource", "dynamodb:UntagResource"]
        Resource = [local.arns[each.key].table]
      },
      {
        Sid      = "BuildRegistry"
        Effect   = "Allow"
        Action   = ["ecr:CreateRepository", "ecr:PutImageScanningConfiguration", "ecr:TagResource", "ecr:UntagResource"]
        Resource = [local.arns[each.key].registry]
      },
      {
        Sid    = "BuildFunctions"
        Effect = "Allow"
        Action = [
          "lambda:AddPermission", "lambda:CreateAlias", "lambda:CreateFunction", "lambda:DeleteAlias",
          "lambda:DeleteFunction", "lambda:DeleteFunctionEventInvokeConfig", "lambda:PublishVersion",
          "lambda:PutFunctionEventInvokeConfig", "lambda:RemovePermission", "lambda:TagResource",
          "lambda:UntagResource", "lambda:UpdateAlias", "lambda:UpdateFunctionCode",
          "lambda:UpdateFunctionConfiguration", "lambda:UpdateFunctionEventInvokeConfig",
        ]
        Resource = concat(local.arns[each.key].functions, local.arns[each.key].versions)
      },
      {
        Sid    = "BuildEndpoints"
        Effect = "Allow"
        Action = [
          "sagemaker:AddTags", "sagemaker:CreateEndpoint", "sagemaker:CreateEndpointConfig", "sagemaker:CreateModel",
          "sagemaker:DeleteEndpoint", "sagemaker:DeleteEndpointConfig", "sagemaker:DeleteModel", "sagemaker:DeleteTags",
          "sagemaker:UpdateEndpoint", "sagemaker:UpdateEndpointWeightsAndCapacities",
        ]
        Resource = concat([local.arns[each.key].endpoint], local.arns[each.key].models)
      },
      {
        # Targets have ids of their own, so only tags and the service that they scale can narrow this down.
        Sid    = "BuildScaling"
        Effect = "Allow"
        Action = [
          "application-autoscaling:DeleteScalingPolicy", "application-autoscaling:DeregisterScalableTarget",
          "application-autoscaling:PutScalingPolicy", "application-autoscaling:RegisterScalableTarget",
          "application-autoscaling:TagResource", "application-autoscaling:UntagResource",
        ]
        Resource = ["${local.arn_base["application-autoscaling"]}:scalable-target/*"]
        Condition = { StringEqualsIfExists = merge(local.tags[each.key], {
          "application-autoscaling:service-namespace" = "sagemaker"
        }) }
      },
      {
        Sid    = "BuildStateMachines"
        Effect = "Allow"
        Action = [
          "states:CreateStateMachine", "states:DeleteStateMachine", "states:TagResource", "states:UntagResource",
          "states:UpdateStateMachine",
        ]
        Resource = local.arns[each.key].machines
      },
      {
        Sid      = "BuildBudgets"
        Effect   = "Allow"
        Action   = ["budgets:ModifyBudget", "budgets:TagResource", "budgets:UntagResource"]
        Resource = [local.arns[each.key].budget]
      },
    ]
  })
}
