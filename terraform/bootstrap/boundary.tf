# The most that any role of the project may ever do, whatever a plan grants it: use the project's own resources, build
# nothing, and never touch a state. The roles' own policies (terraform/) are far narrower.

resource "aws_iam_policy" "boundary" {
  name        = "${var.project}-boundary"
  description = "Bounds every role that Terraform makes for ${var.project}"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "UseTheProjectsResources"
        Effect = "Allow"
        Action = [
          "dynamodb:DeleteItem", "dynamodb:GetItem", "dynamodb:Query", "dynamodb:Scan", "dynamodb:UpdateItem", "lambda:InvokeFunction", "logs:CreateLogStream",
          "logs:DescribeLogStreams", "logs:PutLogEvents", "s3:AbortMultipartUpload", "s3:GetObject", "s3:GetObjectVersion",
          "s3:ListBucket", "s3:ListMultipartUploadParts", "s3:PutObject", "sagemaker:InvokeEndpoint", "sns:Publish",
          "sqs:SendMessage", "states:DescribeExecution", "states:StartExecution",
        ]
        Resource = concat(
          [for kind in ["buckets", "functions", "log_groups", "machines", "queues", "tables", "topics"] : local.arns.all[kind]],
          local.arns.all.models,
          [
            "${local.arns.all.buckets}/*", "${local.arn_base.states}:execution:${var.project}-*",
            "${local.arn_base.logs}:log-group:/aws/sagemaker/TrainingJobs:*",
          ],
        )
      },
      {
        Sid      = "UseTheLogGroupOfTrainingJobs"
        Effect   = "Allow"
        Action   = ["logs:CreateLogGroup", "logs:DescribeLogStreams"]
        Resource = ["${local.arn_base.logs}:log-group:/aws/sagemaker/TrainingJobs", "${local.arn_base.logs}:log-group:/aws/sagemaker/TrainingJobs:*"]
      },
      {
        # An existing key may stand for the project's own; key policies decide besides.
        Sid      = "UseKeys"
        Effect   = "Allow"
        Action   = ["kms:CreateGrant", "kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"]
        Resource = [local.keys]
      },
      {
        # Training images lie in AWS's own accounts.
        Sid      = "PullImages"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = ["arn:${local.partition}:ecr:*:*:repository/*"]
      },
      {
        # Log deliveries, metrics, traces and registry tokens have no resource to name.
        Sid    = "UseWhatHasNoName"
        Effect = "Allow"
        Action = [
          "cloudwatch:PutMetricData", "ecr:GetAuthorizationToken", "logs:CreateLogDelivery", "logs:DeleteLogDelivery",
          "logs:DescribeLogGroups", "logs:DescribeResourcePolicies", "logs:GetLogDelivery", "logs:ListLogDeliveries",
          "logs:PutResourcePolicy", "logs:UpdateLogDelivery", "xray:GetSamplingRules", "xray:GetSamplingTargets",
          "xray:PutTelemetryRecords", "xray:PutTraceSegments",
        ]
        Resource = ["*"]
      },
      {
        Sid      = "KeepAwayFromStates"
        Effect   = "Deny"
        Action   = ["s3:AbortMultipartUpload", "s3:GetObject", "s3:GetObjectVersion", "s3:ListBucket", "s3:PutObject"]
        Resource = [local.state_arn, "${local.state_arn}/*"]
      },
    ]
  })
}
