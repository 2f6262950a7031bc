# What watches an environment and alerts people: the second half of what a plan reads and an apply builds, because one
# policy for everything would exceed the 6,144 characters that AWS allows.

resource "aws_iam_policy" "read_watch" {
  for_each = var.environments

  name        = "${var.project}-read-watch-${each.key}"
  description = "Lets Terraform plan what watches ${local.prefixes[each.key]}: reads settings, changes nothing"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid      = "ReadRules"
        Effect   = "Allow"
        Action   = ["events:DescribeRule", "events:ListTagsForResource", "events:ListTargetsByRule"]
        Resource = local.arns[each.key].rules
      },
      {
        Sid      = "ReadLogGroups"
        Effect   = "Allow"
        Action   = ["logs:ListTagsForResource"]
        Resource = concat(local.arns[each.key].log_groups, local.arns[each.key].log_streams)
      },
      {
        Sid      = "ReadAlarms"
        Effect   = "Allow"
        Action   = ["cloudwatch:GetDashboard", "cloudwatch:ListTagsForResource"]
        Resource = concat(local.arns[each.key].alarms, [local.arns[each.key].dashboard])
      },
      {
        Sid      = "ReadTopics"
        Effect   = "Allow"
        Action   = ["sns:GetTopicAttributes", "sns:ListTagsForResource"]
        Resource = local.arns[each.key].topics
      },
      {
        Sid      = "ReadQueues"
        Effect   = "Allow"
        Action   = ["sqs:GetQueueAttributes", "sqs:ListQueueTags"]
        Resource = local.arns[each.key].queues
      },
    ]
  })
}

resource "aws_iam_policy" "deploy_watch" {
  for_each = var.environments

  name        = "${var.project}-deploy-watch-${each.key}"
  description = "Lets Terraform build what watches ${local.prefixes[each.key]}"

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "BuildRules"
        Effect = "Allow"
        Action = [
          "events:DeleteRule", "events:PutRule", "events:PutTargets", "events:RemoveTargets", "events:TagResource",
          "events:UntagResource",
        ]
        Resource = local.arns[each.key].rules
      },
      {
        Sid      = "BuildLogGroups"
        Effect   = "Allow"
        Action   = ["logs:AssociateKmsKey", "logs:CreateLogGroup", "logs:TagResource", "logs:UntagResource"]
        Resource = concat(local.arns[each.key].log_groups, local.arns[each.key].log_streams)
      },
      {
        Sid    = "BuildAlarms"
        Effect = "Allow"
        Action = [
          "cloudwatch:DeleteAlarms", "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "cloudwatch:UntagResource",
        ]
        Resource = local.arns[each.key].alarms
      },
      {
        Sid      = "BuildDashboards"
        Effect   = "Allow"
        Action   = ["cloudwatch:DeleteDashboards", "cloudwatch:PutDashboard"]
        Resource = [local.arns[each.key].dashboard]
      },
      {
        Sid    = "BuildTopics"
        Effect = "Allow"
        Action = [
          "sns:CreateTopic", "sns:DeleteTopic", "sns:SetTopicAttributes", "sns:Subscribe", "sns:TagResource",
          "sns:UntagResource",
        ]
        Resource = local.arns[each.key].topics
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
        Action   = ["sqs:CreateQueue", "sqs:TagQueue", "sqs:UntagQueue"]
        Resource = local.arns[each.key].queues
      },
    ]
  })
}
