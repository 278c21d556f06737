//! The `nswatch` command.

fn main() {}
