output "alerts_topic_arn" {
  description = "ARN of the topic of alerts."
  value       = aws_sns_topic.alerts.arn
}

output "alarms_topic_arn" {
  description = "ARN of the topic for alarms on the alert path."
  value       = aws_sns_topic.alarms.arn
}

output "dead_letters_url" {
  description = "URL of the queue of alerts that could not be sent."
  value       = aws_sqs_queue.dead_letters.url
}
