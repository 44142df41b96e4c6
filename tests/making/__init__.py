"""What tests are made of: scenes, items, patches, servers and oracles."""
