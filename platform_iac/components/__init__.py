"""DECLARE: Pulumi components. They know the plan; what a site is made of its kind's `build` knows."""
