//! Patterns for names, as in the shell and fnmatch(3): `*`, `?`, `[a-z]`, `[!a-z]` and `\`.
//!
//! A name is bytes, possibly not UTF-8, which pattern crates require. Tests compare this with fnmatch(3).

/// A pattern.
#[derive(Debug, Clone)]
pub(crate) struct Glob(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    /// Any number of bytes.
    Any,
    /// A byte in one of the ranges; with `true`, in none.
    In(bool, Vec<(u8, u8)>),
}

impl Glob {
    pub(crate) fn read(pattern: &[u8]) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = pattern.iter();
        while let Some(&byte) = rest.next() {
            parts.push(match byte {
                b'*' => Part::Any,
                b'?' => Part::In(true, Vec::new()),
                b'\\' => {
                    let byte = *rest.next().ok_or("a backslash at the end has nothing to quote")?;
                    Part::In(false, vec![(byte, byte)])
                }
                b'[' => match set(rest.as_slice()) {
                    Some((set, after)) => {
                        rest = after.iter();
                        set
                    }
                    // an unclosed bracket matches itself
                    None => Part::In(false, vec![(byte, byte)]),
                },
                _ => Part::In(false, vec![(byte, byte)]),
            });
        }
        Ok(Self(parts))
    }

    pub(crate) fn matches(&self, name: &[u8]) -> bool {
        let (mut part, mut at) = (0, 0);
        // the last `Any`, and the position where the rest was tried
        let mut last = None;
        while part < self.0.len() || at < name.len() {
            match (self.0.get(part), name.get(at)) {
                (Some(Part::Any), _) => {
                    last = Some((part, at));
                    part += 1;
                }
                (Some(Part::In(not, ranges)), Some(byte))
                    if ranges.iter().any(|(low, high)| (low..=high).contains(&byte)) != *not =>
                {
                    part += 1;
                    at += 1;
                }
                _ => match last {
                    Some((any, tried)) if tried < name.len() => {
                        last = Some((any, tried + 1));
                        (part, at) = (any + 1, tried + 1);
                    }
                    _ => return false,
                },
            }
        }
        true
    }
}

/// The set in brackets, without the first one, and the rest; `None`: unclosed.
fn set(inside: &[u8]) -> Option<(Part, &[u8])> {
    let mut rest = inside.iter();
    let not = matches!(inside.first(), Some(b'!' | b'^'));
    if not {
        rest.next();
    }
    let mut ranges = Vec::new();
    loop {
        let low = match *rest.next()? {
            b']' if !ranges.is_empty() => return Some((Part::In(not, ranges), rest.as_slice())),
            b'\\' => *rest.next()?,
            byte => byte,
        };
        let high = match rest.as_slice() {
            [b'-', b'\\', high, ..] => {
                rest.nth(2);
                *high
            }
            [b'-', high, ..] if *high != b']' => {
                rest.nth(1);
                *high
            }
            _ => low,
        };
        ranges.push((low, high));
    }
}
