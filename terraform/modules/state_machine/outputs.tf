output "arn" {
  description = "ARN of the state machine."
  value       = aws_sfn_state_machine.this.arn
}

output "trigger_dead_letters_url" {
  description = "URL of the queue of events that started nothing; null without a trigger."
  value       = one([for queue in aws_sqs_queue.trigger_dead_letters : queue.url])
}
