"""The search for the recipe of the fine-tuned model: everything that was tried, on the development half only."""
