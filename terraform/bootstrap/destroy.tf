# What only a person may do, attached to nobody: decide how long data and logs are kept and who shares them, and destroy
# them. Together with deploy.tf it allows the first apply and the `terraform destroy` of an environment.

resource "aws_iam_policy" "destroy" {
  for_each = var.environments

  name        = "${var.project}-destroy-${each.key}"
  description = "Lets a person keep, share and destroy the data, logs and keys of ${local.prefixes[each.key]}"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "EmptyAndDeleteBuckets"
        Effect = "Allow"
        Action = [
          "s3:AbortMultipartUpload", "s3:DeleteBucket", "s3:DeleteBucketPolicy", "s3:DeleteObject",
          "s3:DeleteObjectVersion", "s3:ListBucketMultipartUploads", "s3:ListBucketVersions",
        ]
        Resource = [local.arns[each.key].bucket, "${local.arns[each.key].bucket}/*"]
      },
      {
        Sid    = "KeepAndShareBuckets"
        Effect = "Allow"
        Action = [
          "s3:PutBucketOwnershipControls", "s3:PutBucketPolicy", "s3:PutBucketPublicAccessBlock",
          "s3:PutBucketVersioning", "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration",
        ]
        Resource = [local.arns[each.key].bucket]
      },
      {
        Sid    = "KeepAndDeleteLedger"
        Effect = "Allow"
        Action = [
          "dynamodb:DeleteTable", "dynamodb:UpdateContinuousBackups", "dynamodb:UpdateTable",
          "dynamodb:UpdateTimeToLive",
        ]
        Resource = [local.arns[each.key].table]
      },
      {
        Sid    = "KeepAndDeleteRegistry"
        Effect = "Allow"
        Action = [
          "ecr:BatchDeleteImage", "ecr:DeleteLifecyclePolicy", "ecr:DeleteRepository", "ecr:PutImageTagMutability",
          "ecr:PutLifecyclePolicy",
        ]
        Resource = [local.arns[each.key].registry]
      },
      {
        Sid    = "ShareAndDeleteKeys"
        Effect = "Allow"
        # The registry gives its grants back with the permissions of the caller who deletes it.
        Action    = ["kms:DeleteAlias", "kms:PutKeyPolicy", "kms:RetireGrant", "kms:ScheduleKeyDeletion"]
        Resource  = [local.keys]
        Condition = { StringEquals = local.tags[each.key] }
      },
      {
        Sid      = "UnnameKeys"
        Effect   = "Allow"
        Action   = ["kms:DeleteAlias"]
        Resource = [local.arns[each.key].alias]
      },
      {
        Sid      = "KeepAndDeleteLogGroups"
        Effect   = "Allow"
        Action   = ["logs:DeleteLogGroup", "logs:PutRetentionPolicy"]
        Resource = concat(local.arns[each.key].log_groups, local.arns[each.key].log_streams)
      },
      {
        Sid      = "DeleteLogsOfTrainingJobs"
        Effect   = "Allow"
        Action   = ["logs:DeleteLogStream"]
        Resource = [local.training_streams[each.key]]
      },
      {
        Sid      = "StopTrainingJobs"
        Effect   = "Allow"
        Action   = ["sagemaker:StopTrainingJob"]
        Resource = ["${local.arn_base.sagemaker}:training-job/${local.prefixes[each.key]}-training-${local.time}"]
      },
      {
        # `scones cleanup` searches the account: lists have no resource to name. The policy read-ENV allows the details.
        Sid    = "FindLeftovers"
        Effect = "Allow"
        Action = [
          "cloudwatch:ListDashboards", "dynamodb:ListTables", "ecr:DescribeImages",
          "events:ListRules", "iam:ListRoleTags", "iam:ListRoles", "kms:ListKeys", "lambda:ListFunctions",
          "logs:DescribeLogStreams", "s3:ListAllMyBuckets", "sagemaker:ListEndpointConfigs", "sagemaker:ListEndpoints",
          "sagemaker:ListModels", "sagemaker:ListTrainingJobs", "sns:ListTopics", "sqs:ListQueues",
          "states:ListStateMachines", "tag:GetResources",
        ]
        Resource = ["*"]
      },
      {
        Sid      = "KeepAndDeleteQueues"
        Effect   = "Allow"
        Action   = ["sqs:DeleteQueue", "sqs:SetQueueAttributes"]
        Resource = local.arns[each.key].queues
      },
    ]
  })
}
