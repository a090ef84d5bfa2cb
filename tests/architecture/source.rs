//! A Rust file as tokens with lines and resolved paths, without comments and contents of strings.
//!
//! It supports the Rust that the rules need: `use` trees, paths, inline modules and `#[cfg(test)]`.

/// A token of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// An identifier, `::`, or a single character.
    pub text: String,
    /// From 1.
    pub line: usize,
    /// Whether it is compiled for tests only.
    pub test: bool,
}

/// A path such as `crate::store::sqlite`, from the root of a crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UsedPath {
    /// `["crate", "store", "sqlite"]`
    pub parts: Vec<String>,
    /// The imported name: the last part, or the name after `as`.
    pub name: String,
    /// Whether a `use` imports the name.
    pub imported: bool,
    /// From 1.
    pub line: usize,
    /// Whether it is compiled for tests only.
    pub test: bool,
}

/// One file.
#[derive(Debug, Clone)]
pub struct Source {
    /// The path below the package's directory.
    pub file: String,
    pub text: String,
    pub tokens: Vec<Token>,
}

impl Source {
    /// Reads a file.
    pub fn new(file: &str, text: &str) -> Self {
        let mut tokens = tokens(text);
        mark_tests(&mut tokens);
        Self { file: file.to_owned(), text: text.to_owned(), tokens }
    }

    /// The module path of the file: `["store", "sqlite"]`.
    pub fn module(&self) -> Vec<String> {
        let inner = self.file.strip_prefix("src/").unwrap_or(&self.file);
        let inner = inner.strip_suffix(".rs").unwrap_or(inner);
        let mut parts: Vec<String> = inner.split('/').map(str::to_owned).collect();
        if parts.last().is_some_and(|last| ["mod", "lib", "main"].contains(&last.as_str())) {
            parts.pop();
        }
        parts
    }

    /// The modules in other files that this one declares for tests only.
    fn test_modules(&self) -> Vec<Vec<String>> {
        let declared =
            self.tokens.windows(3).filter(|tokens| tokens[0].test && tokens[0].text == "mod" && tokens[2].text == ";");
        declared.map(|tokens| [self.module(), vec![tokens[1].text.clone()]].concat()).collect()
    }

    /// Every path in `use` and in the code, resolved from a root.
    pub fn used_paths(&self) -> Vec<UsedPath> {
        let mut used_paths = Vec::new();
        let mut modules: Vec<(String, usize)> = Vec::new();
        let mut depth = 0;
        let mut at = 0;
        while at < self.tokens.len() {
            let text = |offset: usize| self.tokens.get(at + offset).map_or("", |token| token.text.as_str());
            match text(0) {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    modules.retain(|(_, inside)| *inside <= depth);
                }
                "mod" if text(2) == "{" => modules.push((text(1).to_owned(), depth + 1)),
                "use" => {
                    let mut tree = Tree { tokens: &self.tokens, at: at + 1 };
                    let mut found = Vec::new();
                    tree.read(&[], &mut found);
                    used_paths.extend(found.into_iter().filter_map(|path| self.resolve(path, &modules)));
                    at = tree.at;
                    continue;
                }
                _ if self.begins_path(at) => {
                    let path = self.read_path(at);
                    at += path.parts.len() * 2 - 2;
                    used_paths.extend(self.resolve(path, &modules));
                }
                _ => {}
            }
            at += 1;
        }
        used_paths
    }

    fn begins_path(&self, at: usize) -> bool {
        let follows = at.checked_sub(1).is_some_and(|before| self.tokens[before].text == "::");
        let leads = self.tokens.get(at + 1).is_some_and(|next| next.text == "::");
        leads && !follows && is_name(&self.tokens[at].text)
    }

    fn read_path(&self, mut at: usize) -> UsedPath {
        let Token { line, test, .. } = self.tokens[at];
        let mut parts = vec![self.tokens[at].text.clone()];
        while let [sign, next, ..] = &self.tokens[at + 1..]
            && sign.text == "::"
            && is_name(&next.text)
        {
            parts.push(next.text.clone());
            at += 2;
        }
        UsedPath { name: parts[parts.len() - 1].clone(), imported: false, parts, line, test }
    }

    /// Replaces `self` and `super` by the path from the root. Other first names are unchanged.
    fn resolve(&self, path: UsedPath, modules: &[(String, usize)]) -> Option<UsedPath> {
        let mut here = self.module();
        here.extend(modules.iter().map(|(name, _)| name.clone()));
        let mut rest = path.parts.as_slice();
        match rest.first()?.as_str() {
            "self" => rest = &rest[1..],
            "super" => {
                while let [first, tail @ ..] = rest
                    && first == "super"
                {
                    here.pop();
                    rest = tail;
                }
            }
            // `runbook` is the library in the binary.
            "runbook" | "crate" => {
                here.clear();
                rest = &rest[1..];
            }
            _ => return Some(path),
        }
        let parts = std::iter::once("crate".to_owned()).chain(here).chain(rest.iter().cloned()).collect();
        Some(UsedPath { parts, ..path })
    }
}

/// Marks the files that another file declares for tests only.
pub fn mark_test_files(sources: &mut [Source]) {
    let declared: Vec<Vec<String>> = sources.iter().flat_map(Source::test_modules).collect();
    for source in sources {
        let module = source.module();
        if declared.iter().any(|test| module.starts_with(test)) {
            source.tokens.iter_mut().for_each(|token| token.test = true);
        }
    }
}

/// Reads a `use` tree.
struct Tree<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Tree<'_> {
    fn read(&mut self, before: &[String], found: &mut Vec<UsedPath>) {
        let mut parts = before.to_vec();
        let mut alias = None;
        let Some(Token { line, test, .. }) = self.tokens.get(self.at).cloned() else { return };
        while let Some(token) = self.tokens.get(self.at) {
            match token.text.as_str() {
                "{" => {
                    self.at += 1;
                    while self.tokens.get(self.at).is_some_and(|token| token.text != "}") {
                        self.read(&parts, found);
                    }
                    self.at += 1;
                    self.skip_comma();
                    return;
                }
                "as" => {
                    alias = self.tokens.get(self.at + 1).map(|token| token.text.clone());
                    self.at += 2;
                }
                "::" => self.at += 1,
                "," | ";" | "}" => break,
                name => {
                    parts.push(name.to_owned());
                    self.at += 1;
                }
            }
        }
        // `use a::b::{self}` is `a::b`.
        if parts.len() > 1 && parts.last().is_some_and(|last| last == "self") {
            parts.pop();
        }
        let Some(name) = alias.or_else(|| parts.last().cloned()) else { return };
        found.push(UsedPath { name, imported: true, parts, line, test });
        self.skip_comma();
    }

    fn skip_comma(&mut self) {
        if self.tokens.get(self.at).is_some_and(|token| token.text == ",") {
            self.at += 1;
        }
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Marks the item after `#[cfg(test)]` or `#[test]`, up to its `;` or its closing brace.
fn mark_tests(tokens: &mut [Token]) {
    let mut at = 0;
    while at < tokens.len() {
        let ahead = |count: usize| tokens[at..].iter().take(count).map(|token| token.text.as_str()).collect::<String>();
        if ahead(7) != "#[cfg(test)]" && ahead(4) != "#[test]" {
            at += 1;
            continue;
        }
        let mut depth = 0_usize;
        while let Some(token) = tokens.get_mut(at) {
            token.test = true;
            at += 1;
            match token.text.as_str() {
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && ["}", ";"].contains(&token.text.as_str()) {
                break;
            }
        }
    }
}

/// The tokens of a text, without comments and without the contents of strings and characters.
fn tokens(text: &str) -> Vec<Token> {
    let chars: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < chars.len() {
        let begin = at;
        let rest = &chars[at..];
        let mut token = None;
        match rest {
            ['/', '/', ..] => at += rest.iter().position(|c| *c == '\n').unwrap_or(rest.len()),
            ['/', '*', ..] => at += block_comment(rest),
            ['r', '"' | '#', ..] | ['b', 'r', '"' | '#', ..] if raw_string(rest).is_some() => {
                at += raw_string(rest).expect("the guard has found it");
            }
            ['b', '"', ..] => at += 1 + string(&rest[1..]),
            ['"', ..] => at += string(rest),
            ['\'', ..] => at += character(rest),
            [':', ':', ..] => {
                token = Some("::".to_owned());
                at += 2;
            }
            [c, ..] if c.is_alphanumeric() || *c == '_' => {
                let length = rest.iter().position(|c| !c.is_alphanumeric() && *c != '_').unwrap_or(rest.len());
                token = Some(rest[..length].iter().collect());
                at += length;
            }
            [c, ..] => {
                token = (!c.is_whitespace()).then(|| c.to_string());
                at += 1;
            }
            [] => unreachable!("the loop ends before the end"),
        }
        tokens.extend(token.map(|text| Token { text, line, test: false }));
        line += chars[begin..at].iter().filter(|c| **c == '\n').count();
    }
    tokens
}

/// The length of a block comment, which may be nested.
fn block_comment(chars: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < chars.len() {
        match chars[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at
}

/// The length of `r"…"`, `r#"…"#`, `br"…"` and so on.
fn raw_string(chars: &[char]) -> Option<usize> {
    let prefix = chars.iter().position(|c| *c == 'r')? + 1;
    let hashes = chars[prefix..].iter().take_while(|c| **c == '#').count();
    if chars.get(prefix + hashes) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let begin = prefix + hashes + 1;
    let inside = chars[begin..].windows(end.len()).position(|window| window == end)?;
    Some(begin + inside + end.len())
}

/// The length of `"…"`.
fn string(chars: &[char]) -> usize {
    let mut at = 1;
    while at < chars.len() && chars[at] != '"' {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of `'x'`, `'\n'` or `'\u{1b}'`; 1 for the tick of a lifetime or label.
fn character(chars: &[char]) -> usize {
    match chars {
        ['\'', '\\', _, rest @ ..] => 4 + rest.iter().position(|c| *c == '\'').unwrap_or(0),
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}
