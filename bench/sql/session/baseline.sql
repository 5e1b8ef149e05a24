-- Purpose: the planner knows every value, as in the statements with literals that the baselines stand for.
SET plan_cache_mode = force_custom_plan
