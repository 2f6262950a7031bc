# What the variables accept and refuse. Each rule has a failing example, with the message it must give, in
# tests/terraform/test_messages.py. Here one run (about a second) shows that each variable refuses something.

mock_provider "aws" {
  override_data {
    target = data.aws_caller_identity.current
    values = { account_id = "123456789012" }
  }
  override_data {
    target = data.aws_partition.current
    values = { partition = "aws", dns_suffix = "amazonaws.com" }
  }
}

variables {
  environment = "dev"
  model = {
    name                = "bikes"
    artifact_uri        = "s3://scones-dev-123456789012-us-east-1/models/bikes/model.tar.gz"
    sha256              = "0000000000000000000000000000000000000000000000000000000000000000"
    image_uri           = format("123456789012.dkr.ecr.us-east-1.amazonaws.com/scones-dev-serving@sha256:%064d", 0)
    labels              = ["bicycle", "motorcycle", "neither"]
    classes_of_interest = ["bicycle", "motorcycle"]
    threshold           = 0.93
    input_size          = 32
  }
}

# ---------------------------------------------------------------- what is allowed

run "a_model_with_defaults_is_valid" {
  command = plan

  assert {
    condition     = output.endpoint_name == "scones-dev-classifier"
    error_message = "A model must bring an endpoint."
  }
}

run "serverless_without_capture_is_valid" {
  command = plan

  variables {
    endpoint = { serverless = { memory_mb = 2048, max_concurrency = 5 }, capture_percentage = 0 }
  }
}

run "training_takes_the_container_of_its_region" {
  command = plan

  variables {
    region = "eu-central-1"
    model  = null
  }

  assert {
    condition = output.training_image_uri == join("/", [
      "763104351884.dkr.ecr.eu-central-1.amazonaws.com", "pytorch:2.14.0-cu133-amzn2023-sagemaker",
    ])
    error_message = "By default jobs must run in AWS's PyTorch container: ${output.training_image_uri}."
  }
}

run "no_model_means_no_endpoint" {
  command = plan

  variables {
    model = null
  }

  assert {
    condition     = output.endpoint_name == null
    error_message = "Without a model there must be no endpoint."
  }
}

run "one_setting_switches_the_endpoint_off" {
  command = plan

  variables {
    endpoint = { enabled = false }
  }

  assert {
    condition     = output.endpoint_name == null
    error_message = "endpoint.enabled = false must leave no endpoint, model or not."
  }
}

run "traffic_may_move_in_linear_steps" {
  command = plan

  variables {
    endpoint = { blue_green = { traffic = "linear", percent = 10, wait_seconds = 0 } }
  }
}

# ---------------------------------------------------------------- what is refused

run "every_variable_refuses_a_bad_value" {
  command = plan

  variables {
    environment              = "Dev"
    project                  = "Scones"
    endpoint                 = { instance_type = "m5.large" }
    threshold                = 93
    subscribers              = { "nobody" = ["system"] }
    schedules                = { digest_hours = 0 }
    runbook_url              = "https://example.com/operations#top"
    log_retention_days       = 31
    ledger_retention_days    = 0
    existing_key_arn         = "alias/mine"
    permissions_boundary_arn = "boundary"
    region                   = "virginia"
    training_image_uri       = "pytorch:latest"
    model                    = merge(var.model, { artifact_uri = "models/model.tar.gz" })
  }

  expect_failures = [
    var.environment, var.project, var.endpoint, var.threshold, var.subscribers, var.schedules, var.runbook_url,
    var.log_retention_days, var.ledger_retention_days, var.existing_key_arn, var.permissions_boundary_arn, var.region,
    var.training_image_uri, var.model,
  ]
}

run "refuses_an_environment_named_like_a_role_of_the_bootstrap" {
  command = plan

  variables {
    environment = "apply"
  }

  expect_failures = [var.environment]
}

run "refuses_a_silence_that_no_alarm_can_look_back_on" {
  command = plan

  variables {
    schedules = { stale_after_hours = 169 }
  }

  expect_failures = [var.schedules]
}

run "refuses_a_drift_report_that_no_alarm_can_look_back_on" {
  command = plan

  variables {
    schedules = { drift_hours = 169 }
  }

  expect_failures = [var.schedules]
}

run "refuses_a_budget_that_would_write_to_more_than_ten_addresses" {
  command = plan

  variables {
    monthly_budget_usd = 50
    subscribers        = { for n in range(11) : "person-${n}@example.com" => ["alarm"] }
  }

  expect_failures = [var.monthly_budget_usd]
}

run "refuses_capture_on_a_serverless_endpoint" {
  command = plan

  variables {
    endpoint = { serverless = { memory_mb = 2048, max_concurrency = 5 } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_budget_that_nobody_hears_of" {
  command = plan

  variables {
    monthly_budget_usd = 100
    subscribers        = { "a@example.com" = ["system"] }
  }

  expect_failures = [var.monthly_budget_usd]
}

run "refuses_a_folder_without_packages" {
  command = plan

  variables {
    package_dir = "./environments"
  }

  expect_failures = [var.package_dir]
}

# ---------------------------------------------------------------- one rule of the model each

run "refuses_a_model_name_that_an_answer_could_not_carry" {
  command = plan

  variables {
    model = merge(var.model, { name = "bikes;labels=1" })
  }

  expect_failures = [var.model]
}

run "refuses_a_percentage_as_a_former_models_threshold" {
  command = plan

  variables {
    model = merge(var.model, { former = { trikes = 98 } })
  }

  expect_failures = [var.model]
}

run "refuses_a_short_sha256" {
  command = plan

  variables {
    model = merge(var.model, { sha256 = "abc" })
  }

  expect_failures = [var.model]
}

run "refuses_a_tag_in_place_of_a_digest" {
  command = plan

  variables {
    model = merge(var.model, { image_uri = "serving:latest" })
  }

  expect_failures = [var.model]
}

run "refuses_a_label_twice" {
  command = plan

  variables {
    model = merge(var.model, { labels = ["bicycle", "motorcycle", "motorcycle"] })
  }

  expect_failures = [var.model]
}

run "refuses_a_foreign_class_of_interest" {
  command = plan

  variables {
    model = merge(var.model, { classes_of_interest = ["c"] })
  }

  expect_failures = [var.model]
}

run "refuses_a_percentage_as_threshold" {
  command = plan

  variables {
    model = merge(var.model, { threshold = 93 })
  }

  expect_failures = [var.model]
}

run "refuses_half_a_pixel" {
  command = plan

  variables {
    model = merge(var.model, { input_size = 32.5 })
  }

  expect_failures = [var.model]
}

# ---------------------------------------------------------------- one rule of the endpoint each

run "refuses_a_graviton_type" {
  command = plan

  variables {
    endpoint = { instance_type = "ml.m8g.large" }
  }

  expect_failures = [var.endpoint]
}

run "refuses_no_instance" {
  command = plan

  variables {
    endpoint = { instance_count = 0 }
  }

  expect_failures = [var.endpoint]
}

run "refuses_scaling_to_zero" {
  command = plan

  variables {
    endpoint = { instance_type = "ml.m5.large", scaling = { min = 0, max = 2, target = 100 } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_scaling_of_a_burstable_type" {
  command = plan

  variables {
    endpoint = { instance_type = "ml.t2.medium", scaling = { min = 1, max = 2, target = 100 } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_scaling_with_serverless" {
  command = plan

  variables {
    endpoint = {
      instance_type      = "ml.m5.large"
      scaling            = { min = 1, max = 2, target = 100 }
      serverless         = { memory_mb = 2048, max_concurrency = 5 }
      capture_percentage = 0
    }
  }

  expect_failures = [var.endpoint]
}

run "refuses_odd_serverless_memory" {
  command = plan

  variables {
    endpoint = { serverless = { memory_mb = 2000, max_concurrency = 5 }, capture_percentage = 0 }
  }

  expect_failures = [var.endpoint]
}

run "refuses_more_than_everything_captured" {
  command = plan

  variables {
    endpoint = { capture_percentage = 101 }
  }

  expect_failures = [var.endpoint]
}

run "refuses_steps_of_traffic_that_moves_all_at_once" {
  command = plan

  variables {
    endpoint = { blue_green = { traffic = "all_at_once", percent = 50 } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_traffic_that_moves_in_no_known_way" {
  command = plan

  variables {
    endpoint = { blue_green = { traffic = "sudden", percent = 10, wait_seconds = 0 } }
  }

  expect_failures = [var.endpoint]
}

run "refuses_a_misspelt_category" {
  command = plan

  variables {
    subscribers = { "a@example.com" = ["sytem"] }
  }

  expect_failures = [var.subscribers]
}

run "refuses_a_budget_below_zero" {
  command = plan

  variables {
    monthly_budget_usd = -1
    subscribers        = { "a@example.com" = ["alarm"] }
  }

  expect_failures = [var.monthly_budget_usd]
}
