"""DynamoDB: one module per table, and the codec they share."""
