# What only a person may do, attached to nobody: with deploy.tf it lets `terraform destroy` take an environment away.

resource "aws_iam_policy" "destroy" {
  for_each = var.environments

  name        = "${var.project}-destroy-${each.key}"
  description = "Lets a person destroy the data, logs and keys of ${local.prefixes[each.key]}"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "EmptyAndDeleteBuckets"
        Effect = "Allow"
        Action = [
          "s3:AbortMultipartUpload", "s3:DeleteBucket", "s3:DeleteBucketPolicy", "s3:DeleteObject", "s3:DeleteObjectVersion",
          "s3:ListBucketMultipartUploads", "s3:ListBucketVersions",
        ]
        Resource = [local.arns[each.key].buckets, "${local.arns[each.key].buckets}/*"]
      },
      {
        Sid      = "DeleteLedger"
        Effect   = "Allow"
        Action   = ["dynamodb:DeleteTable"]
        Resource = [local.arns[each.key].tables]
      },
      {
        Sid      = "DeleteRegistry"
        Effect   = "Allow"
        Action   = ["ecr:BatchDeleteImage", "ecr:DeleteLifecyclePolicy", "ecr:DeleteRepository"]
        Resource = [local.arns[each.key].registry]
      },
      {
        Sid    = "DeleteKeys"
        Effect = "Allow"
        # The registry gives its grants back with the permissions of whoever deletes it.
        Action    = ["kms:DeleteAlias", "kms:RetireGrant", "kms:ScheduleKeyDeletion"]
        Resource  = [local.keys]
        Condition = local.key_tags[each.key]
      },
      {
        Sid      = "UnnameKeys"
        Effect   = "Allow"
        Action   = ["kms:DeleteAlias"]
        Resource = [local.arns[each.key].aliases]
      },
      {
        Sid      = "DeleteLogGroups"
        Effect   = "Allow"
        Action   = ["logs:DeleteLogGroup"]
        Resource = [local.arns[each.key].log_groups]
      },
      {
        # One log group serves the training jobs of a whole account.
        Sid      = "DeleteLogsOfTrainingJobs"
        Effect   = "Allow"
        Action   = ["logs:DeleteLogStream"]
        Resource = ["${local.arn_base.logs}:log-group:/aws/sagemaker/TrainingJobs:log-stream:${local.prefixes[each.key]}-training-*"]
      },
      {
        Sid      = "StopTrainingJobs"
        Effect   = "Allow"
        Action   = ["sagemaker:StopTrainingJob"]
        Resource = ["${local.arn_base.sagemaker}:training-job/${local.prefixes[each.key]}-training-*"]
      },
      {
        # `scones cleanup` looks through the account: lists have no resource to name. The policy "read" lets it look closer.
        Sid    = "FindLeftovers"
        Effect = "Allow"
        Action = [
          "cloudwatch:ListDashboards", "dynamodb:ListTables", "ecr:DescribeImages",
          "events:ListRules", "iam:ListRoleTags", "iam:ListRoles", "kms:ListKeys", "lambda:ListFunctions",
          "logs:DescribeLogStreams", "s3:ListAllMyBuckets", "sagemaker:ListEndpointConfigs", "sagemaker:ListEndpoints",
          "sagemaker:ListModels", "sagemaker:ListTrainingJobs", "sns:ListTopics", "sqs:ListQueues", "states:ListStateMachines",
          "tag:GetResources",
        ]
        Resource = ["*"]
      },
      {
        Sid      = "DeleteQueues"
        Effect   = "Allow"
        Action   = ["sqs:DeleteQueue"]
        Resource = [local.arns[each.key].queues]
      },
    ]
  })
}
