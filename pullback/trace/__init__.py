"""Rules and composites, run once on tracers, become programs that the native core replays."""
