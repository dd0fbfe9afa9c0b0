"""REACH: the Pulumi provider. It brings hosts to what the plan says, and says where they differ."""
