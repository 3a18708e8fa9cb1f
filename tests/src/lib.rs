#![doc = "To be filled."]
