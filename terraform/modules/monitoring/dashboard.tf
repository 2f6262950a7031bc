# At most 50 metrics: up to that size an account has three dashboards for free.
resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = var.prefix
  dashboard_body = jsonencode({ widgets = concat([local.alarm_widget], local.graphs) })
}

locals {
  alarm_widget = {
    type   = "alarm"
    x      = 0
    y      = 0
    width  = 24
    height = 3
    properties = {
      title  = "Alarms"
      alarms = [for name in keys(var.alarms) : "${var.alarms_arn_base}:${var.prefix}-${name}"]
    }
  }

  # Three graphs in a row, in this order.
  graphs = [for index, graph in concat(local.pictures, local.parts, var.endpoint == null ? [] : local.serving) : {
    type   = "metric"
    x      = index % 3 * 8
    y      = 3 + floor(index / 3) * 6
    width  = 8
    height = 6
    properties = {
      title   = graph.title
      region  = var.region
      view    = "timeSeries"
      stat    = graph.statistic
      period  = 300
      metrics = graph.metrics
    }
  }]

  pictures = [
    {
      title     = "What becomes of pictures"
      statistic = "Sum"
      metrics = [
        [var.prefix, "Accepted", "service", "filter_inferences", { label = "accepted" }],
        [var.prefix, "ThresholdConfidenceNotMet", "service", "filter_inferences", { label = "low confidence" }],
        [var.prefix, "ImageRejected", "service", "serialize_image_data", { label = "rejected" }],
        [var.prefix, "SystemFailures", "service", "send_alert", { label = "failed" }],
      ]
    },
    {
      title     = "Time of one picture (ms)"
      statistic = "p95"
      metrics = [for statistic in ["p50", "p95", "p99"] : [
        "AWS/States", "ExecutionTime", "StateMachineArn", var.state_machine_arns["classify"],
        { label = statistic, stat = statistic },
      ]]
    },
    {
      title     = "Confidence"
      statistic = "p50"
      metrics = [for statistic in ["p10", "p50"] :
        [var.prefix, "Confidence", "service", "filter_inferences", { label = statistic, stat = statistic }]
      ]
    },
  ]

  parts = [
    {
      title     = "Executions that did not succeed"
      statistic = "Sum"
      metrics = flatten([for name, arn in var.state_machine_arns : [
        for metric in ["ExecutionsAborted", "ExecutionsFailed", "ExecutionsTimedOut"] :
        { metric = ["AWS/States", metric, "StateMachineArn", arn, { label = "${name}: ${metric}" }] }
      ]])[*].metric
    },
    {
      title     = "Errors and throttles of functions"
      statistic = "Sum"
      metrics = flatten([for folder, name in var.functions : [for metric in ["Errors", "Throttles"] :
        { metric = ["AWS/Lambda", metric, "FunctionName", name, { label = "${folder}: ${metric}" }] }
      ]])[*].metric
    },
    {
      title     = "Dead letters"
      statistic = "Maximum"
      metrics = [for name in var.queues :
        ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", name, { label = name }]
      ]
    },
  ]

  serving = [
    {
      title     = "Requests to the endpoint"
      statistic = "Sum"
      metrics = [for metric in ["Invocations", "Invocation4XXErrors", "Invocation5XXErrors"] :
        ["AWS/SageMaker", metric, "EndpointName", var.endpoint, "VariantName", "primary", { label = metric }]
      ]
    },
    {
      title     = "Time of one request (microseconds)"
      statistic = "p95"
      metrics = [for metric in ["ModelLatency", "OverheadLatency"] :
        ["AWS/SageMaker", metric, "EndpointName", var.endpoint, "VariantName", "primary", { label = metric }]
      ]
    },
    {
      title     = "Load of the instances (%)"
      statistic = "Average"
      metrics = [for metric in ["CPUUtilization", "MemoryUtilization"] :
        ["/aws/sagemaker/Endpoints", metric, "EndpointName", var.endpoint, "VariantName", "primary", { label = metric }]
      ]
    },
  ]
}
