//! Text to plan, with every diagnostic at once.
