"""What an optimizer step consists of besides the optimizer: of how many batches it is, what limits its gradients."""
