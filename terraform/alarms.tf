# What each alarm watches. Every alarm can go off and come back. Where a metric is silent while all is well, missing
# data is fine. Where silence is the fault, missing data breaches. A queue's metric may fall silent while messages wait
# in it, so there missing data changes nothing. Each alarm watches one machine, function or queue, because a sum over
# metrics may have no value when one of them is missing.

module "monitoring" {
  source = "./modules/monitoring"

  prefix             = local.prefix
  region             = var.region
  alarms             = local.alarms
  alarms_arn_base    = "${local.arn_base.cloudwatch}:alarm"
  alarms_topic_arn   = local.arns.alarms_topic
  runbook_url        = var.runbook_url
  functions          = local.names.functions
  state_machine_arns = local.arns.state_machines
  queues             = [local.names.alert_dead_letters, local.names.trigger_dead_letters]
  endpoint           = local.served_model == null ? null : local.names.endpoint
}

locals {
  alarms = merge(
    local.standing_alarms,
    { for name, alarm in local.endpoint_alarms : name => alarm if local.served_model != null },
  )

  standing_alarms = merge(
    {
      system-failures = {
        what    = "Pictures fail for reasons that are not their own: neither doubtful nor rejected."
        do      = "repair the error that the system alerts name, then run the pictures again."
        section = "system-failures"
        metrics = { failures = {
          namespace      = local.prefix
          name           = "SystemFailures"
          dimensions     = { service = "send_alert" }
          statistic      = "Sum"
          period_seconds = 300
        } }
        threshold = 5
        label     = "pictures failed in 5 minutes"
      }
      slow-pictures = {
        what    = "One of twenty pictures waits for more than a minute for its decision."
        do      = "see in the dashboard which part is slow; most often the endpoint, or retries behind an outage."
        section = "slow-pictures"
        metrics = { time = {
          namespace      = "AWS/States"
          name           = "ExecutionTime"
          dimensions     = { StateMachineArn = local.arns.state_machines["classify"] }
          statistic      = "p95"
          period_seconds = 900
        } }
        expression = "time / 1000"
        threshold  = 60
        label      = "s at the 95th percentile"
      }
      trigger-dead-letters = merge(local.dead_letter_alarm, {
        what    = "Events of new pictures could not start the workflow and wait in a queue."
        do      = "repair the cause, then start them with \"scones rerun --from-dead-letters\"."
        section = "trigger-dead-letters"
        metrics = {
          depth = merge(local.queue_depth, { dimensions = { QueueName = local.names.trigger_dead_letters } })
        }
      })
      drift = {
        what    = "The pictures no longer look like those that the model was made for."
        do      = "look at some of the latest pictures; if they are right, the model needs new training pictures."
        section = "drift"
        metrics = { drift = {
          namespace      = local.prefix
          name           = "Drift"
          dimensions     = { service = "report_drift" }
          statistic      = "Maximum"
          period_seconds = 86400
        } }
        threshold = 1
        # One report is enough, and the alarm stays on until the next report is due.
        periods    = ceil(var.schedules.drift_hours / 24)
        datapoints = 1
      }
    },
    local.alert_path_alarms,
    # A rule of its own (modules/alerts) reports when "unfinished" hangs; every alarm costs money each month.
    { for key, name in local.names.state_machines : "timed-out-${key}" => {
      what    = "Executions of ${name} took longer than the machine allows and were stopped."
      do      = "see where they hung; run the pictures again that the system alerts name."
      section = "timed-out-executions"
      metrics = { stopped = {
        namespace      = "AWS/States"
        name           = "ExecutionsTimedOut"
        dimensions     = { StateMachineArn = local.arns.state_machines[key] }
        statistic      = "Sum"
        period_seconds = 300
      } }
      threshold = 1
      label     = "stopped in 5 minutes"
    } if key != "unfinished" },
    # The functions that every picture passes. Lost calls of send_alert show in its dead letters.
    { for folder, name in local.names.functions : "throttled-${replace(folder, "_", "-")}" => {
      what    = "Lambda turns calls of ${name} away, because the account runs too many functions at once."
      do      = "raise the account's quota of concurrent executions, or send fewer pictures at a time."
      section = "throttled-functions"
      metrics = { throttles = {
        namespace      = "AWS/Lambda"
        name           = "Throttles"
        dimensions     = { FunctionName = name }
        statistic      = "Sum"
        period_seconds = 900
      } }
      threshold = 10
      label     = "calls turned away in 15 minutes"
    } if contains(["serialize_image_data", "classify_image", "filter_inferences"], folder) },
  )

  # Alarms on the alert path itself: they must not take the path that is broken.
  alert_path_alarms = {
    alert-failures = {
      what = "Alerts cannot be sent: send_alert fails again and again."
      do = join(" ", [
        "read the function's log, repair the cause,",
        "then send what was kept with \"scones rerun --from-dead-letters\".",
      ])
      section    = "alert-failures"
      alert_path = true
      metrics = { errors = {
        namespace      = "AWS/Lambda"
        name           = "Errors"
        dimensions     = { FunctionName = local.names.functions["send_alert"] }
        statistic      = "Sum"
        period_seconds = 900
      } }
      # A lost alert has failed at least three times; with fewer failures a retry succeeded.
      threshold = 3
      label     = "failures in 15 minutes"
    }
    alert-dead-letters = merge(local.dead_letter_alarm, {
      what       = "Alerts that could not be sent wait in a queue; nobody has heard of what they tell."
      do         = "repair the cause, then send them with \"scones rerun --from-dead-letters\"."
      section    = "alert-dead-letters"
      alert_path = true
      metrics    = { depth = merge(local.queue_depth, { dimensions = { QueueName = local.names.alert_dead_letters } }) }
    })
    undelivered-alerts = {
      what       = "SNS gave up delivering alerts to a subscriber."
      do         = "look for the subscriber whose address no longer takes mail; others have received them."
      section    = "undelivered-alerts"
      alert_path = true
      metrics = { failed = {
        namespace      = "AWS/SNS"
        name           = "NumberOfNotificationsFailed"
        dimensions     = { TopicName = local.names.alerts_topic }
        statistic      = "Sum"
        period_seconds = 300
      } }
      threshold = 1
      label     = "not delivered in 5 minutes"
    }
  }

  alert_path_alarm_arns = { for key in keys(local.alert_path_alarms) :
    "${local.prefix}-${key}" => "${local.arn_base.cloudwatch}:alarm:${local.prefix}-${key}"
  }

  dead_letter_alarm = { threshold = 1, missing_data = "ignore", label = "waiting in the queue" }
  queue_depth = {
    namespace      = "AWS/SQS"
    name           = "ApproximateNumberOfMessagesVisible"
    statistic      = "Maximum"
    period_seconds = 300
  }

  endpoint_alarms = merge(
    {
      endpoint-errors = {
        what    = "The endpoint answers requests with errors."
        do      = "read the endpoint's log; after a new model, go back with \"scones rollback\"."
        section = "endpoint-errors"
        metrics = { for name in ["Invocation4XXErrors", "Invocation5XXErrors", "Invocations"] :
          lower(name) => merge(local.endpoint_metric, { name = name, statistic = "Sum" })
        }
        expression = "100 * (invocation4xxerrors + invocation5xxerrors) / invocations"
        threshold  = 5
        label      = "% of requests failed"
      }
      endpoint-latency = {
        what       = "The model takes more than a second for one of twenty pictures, a thousand times its due."
        do         = "compare requests with the number of instances; more instances, or a larger type."
        section    = "endpoint-latency"
        metrics    = { latency = merge(local.endpoint_metric, { name = "ModelLatency", statistic = "p95" }) }
        expression = "latency / 1000000"
        threshold  = 1
        label      = "s at the 95th percentile"
      }
      low-confidence-share = {
        what    = "The model is not sure of at least half of the pictures of an hour."
        do      = "look at what comes in; if the pictures are right, the threshold or the model is due."
        section = "low-confidence-share"
        metrics = { for id, name in { pictures = "Invocations", doubtful = "ThresholdConfidenceNotMet" } : id => {
          namespace      = local.prefix
          name           = name
          dimensions     = { service = "filter_inferences" }
          statistic      = "Sum"
          period_seconds = 3600
        } }
        # Half of only a few pictures says nothing.
        expression = "IF(pictures >= 20, 100 * doubtful / pictures, 0)"
        threshold  = 50
        label      = "% of an hour's pictures are doubtful"
      }
    },
    # A serverless endpoint costs nothing while it waits. Any other counts only while it runs, so that a new one is not
    # idle at once: without an instance's load the expression has no value, or 1.
    { for reason in ["idle-endpoint"] : reason => {
      what    = "The endpoint costs by the hour and has had no request for a day."
      do      = "switch it off with endpoint = { enabled = false }, or find out why no pictures come."
      section = "idle-endpoint"
      metrics = {
        requests = merge(local.endpoint_metric, { name = "Invocations", statistic = "Sum", period_seconds = 3600 })
        load = merge(local.endpoint_metric, {
          namespace      = "/aws/sagemaker/Endpoints"
          name           = "CPUUtilization"
          statistic      = "Maximum"
          period_seconds = 3600
        })
      }
      expression = "IF(load > 0, FILL(requests, 0), 1)"
      comparison = "LessThanThreshold"
      threshold  = 1
      periods    = 24
      label      = "requests in each of 24 hours"
    } if var.endpoint.serverless == null },
    { for hours in var.schedules.stale_after_hours[*] : "stale-stream" => {
      what    = "No picture has come in for ${hours} hours."
      do      = "ask whoever sends the pictures; then see whether the bucket's events start the workflow."
      section = "stale-stream"
      metrics = { started = {
        namespace      = "AWS/States"
        name           = "ExecutionsStarted"
        dimensions     = { StateMachineArn = local.arns.state_machines["classify"] }
        statistic      = "Sum"
        period_seconds = 3600
      } }
      comparison   = "LessThanThreshold"
      threshold    = 1
      periods      = hours
      missing_data = "breaching"
    } },
  )

  endpoint_metric = {
    namespace      = "AWS/SageMaker"
    dimensions     = { EndpointName = local.names.endpoint, VariantName = "primary" }
    period_seconds = 900
  }
}
