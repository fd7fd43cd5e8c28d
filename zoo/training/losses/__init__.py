"""Token losses at work: per token from the component, reduced here, by chunks of the vocabulary's logits."""
