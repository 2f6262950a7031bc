resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = var.alarms

  alarm_name          = "${var.prefix}-${each.key}"
  alarm_description   = "${each.value.what} What to do: ${each.value.do} ${var.runbook_url}#${each.value.section}"
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  evaluation_periods  = each.value.periods
  datapoints_to_alarm = each.value.datapoints
  treat_missing_data  = each.value.missing_data

  # The other alarms reach send_alert by an event rule (modules/alerts): a filter of the alerts topic would drop them.
  alarm_actions = each.value.alert_path ? [var.alarms_topic_arn] : []

  dynamic "metric_query" {
    for_each = each.value.metrics

    content {
      id          = metric_query.key
      label       = each.value.expression == null ? each.value.label : null
      return_data = each.value.expression == null

      metric {
        namespace   = metric_query.value.namespace
        metric_name = metric_query.value.name
        dimensions  = metric_query.value.dimensions
        stat        = metric_query.value.statistic
        period      = metric_query.value.period_seconds
      }
    }
  }

  dynamic "metric_query" {
    for_each = each.value.expression[*]

    content {
      id          = "value"
      label       = each.value.label
      expression  = metric_query.value
      return_data = true
    }
  }
}
