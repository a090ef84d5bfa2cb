//! A Rust file as words with their lines: comments and the insides of strings are gone, paths are resolved.
//!
//! It knows as much of Rust as the law needs: `use` trees, paths, inline modules and `#[cfg(test)]`.

/// A word or a sign of the source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// An identifier, `::`, or a single sign.
    pub text: String,
    /// From 1.
    pub line: usize,
    /// Whether it is compiled for tests only.
    pub test: bool,
}

/// A path such as `crate::store::sqlite`, from the root of the crate or of another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// `["crate", "store", "sqlite"]`
    pub parts: Vec<String>,
    /// From 1.
    pub line: usize,
    /// Whether it is compiled for tests only.
    pub test: bool,
}

/// One file.
#[derive(Debug, Clone)]
pub struct Source {
    /// Its name below the package's directory.
    pub file: String,
    /// As it is.
    pub text: String,
    /// Its words.
    pub words: Vec<Word>,
}

impl Source {
    /// Reads a file.
    pub fn new(file: &str, text: &str) -> Self {
        let mut words = words(text);
        mark_tests(&mut words);
        Self { file: file.to_owned(), text: text.to_owned(), words }
    }

    /// The modules that lead to this file: `["store", "sqlite"]`.
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
            self.words.windows(3).filter(|words| words[0].test && words[0].text == "mod" && words[2].text == ";");
        declared.map(|words| [self.module(), vec![words[1].text.clone()]].concat()).collect()
    }

    /// Every path that is used, in `use` or in the code, from a root.
    pub fn routes(&self) -> Vec<Route> {
        let mut routes = Vec::new();
        let mut modules: Vec<(String, usize)> = Vec::new();
        let mut depth = 0;
        let mut at = 0;
        while at < self.words.len() {
            let text = |offset: usize| self.words.get(at + offset).map_or("", |word| word.text.as_str());
            match text(0) {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    modules.retain(|(_, inside)| *inside <= depth);
                }
                "mod" if text(2) == "{" => modules.push((text(1).to_owned(), depth + 1)),
                "use" => {
                    let mut tree = Tree { words: &self.words, at: at + 1 };
                    let mut found = Vec::new();
                    tree.read(&[], &mut found);
                    routes.extend(found.into_iter().filter_map(|route| self.resolve(route, &modules)));
                    at = tree.at;
                    continue;
                }
                _ if self.begins_path(at) => {
                    let route = self.path(at);
                    at += route.parts.len() * 2 - 2;
                    routes.extend(self.resolve(route, &modules));
                }
                _ => {}
            }
            at += 1;
        }
        routes
    }

    fn begins_path(&self, at: usize) -> bool {
        let follows = at.checked_sub(1).is_some_and(|before| self.words[before].text == "::");
        let leads = self.words.get(at + 1).is_some_and(|next| next.text == "::");
        leads && !follows && is_name(&self.words[at].text)
    }

    fn path(&self, mut at: usize) -> Route {
        let Word { line, test, .. } = self.words[at];
        let mut parts = vec![self.words[at].text.clone()];
        while let [sign, next, ..] = &self.words[at + 1..]
            && sign.text == "::"
            && is_name(&next.text)
        {
            parts.push(next.text.clone());
            at += 2;
        }
        Route { parts, line, test }
    }

    /// Replaces `self` and `super` by the way from the root; a name that is neither is left as it is.
    fn resolve(&self, route: Route, modules: &[(String, usize)]) -> Option<Route> {
        let mut here = self.module();
        here.extend(modules.iter().map(|(name, _)| name.clone()));
        let mut rest = route.parts.as_slice();
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
            // The binary's name for the library.
            "runbook" | "crate" => {
                here.clear();
                rest = &rest[1..];
            }
            _ => return Some(route),
        }
        let parts = std::iter::once("crate".to_owned()).chain(here).chain(rest.iter().cloned()).collect();
        Some(Route { parts, ..route })
    }
}

/// Marks the files that are compiled for tests only, since the file that declares them says so.
pub fn mark_test_files(sources: &mut [Source]) {
    let declared: Vec<Vec<String>> = sources.iter().flat_map(Source::test_modules).collect();
    for source in sources {
        let module = source.module();
        if declared.iter().any(|test| module.starts_with(test)) {
            source.words.iter_mut().for_each(|word| word.test = true);
        }
    }
}

/// Reads a `use` tree.
struct Tree<'a> {
    words: &'a [Word],
    at: usize,
}

impl Tree<'_> {
    fn read(&mut self, before: &[String], found: &mut Vec<Route>) {
        let mut parts = before.to_vec();
        let Some(Word { line, test, .. }) = self.words.get(self.at).cloned() else { return };
        while let Some(word) = self.words.get(self.at) {
            match word.text.as_str() {
                "{" => {
                    self.at += 1;
                    while self.words.get(self.at).is_some_and(|word| word.text != "}") {
                        self.read(&parts, found);
                    }
                    self.at += 1;
                    self.skip_comma();
                    return;
                }
                "as" => self.at += 2,
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
        found.push(Route { parts, line, test });
        self.skip_comma();
    }

    fn skip_comma(&mut self) {
        if self.words.get(self.at).is_some_and(|word| word.text == ",") {
            self.at += 1;
        }
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Marks what stands under `#[cfg(test)]` or `#[test]`: the item up to its `;` or its closing brace.
fn mark_tests(words: &mut [Word]) {
    let mut at = 0;
    while at < words.len() {
        let ahead = |count: usize| words[at..].iter().take(count).map(|word| word.text.as_str()).collect::<String>();
        if ahead(7) != "#[cfg(test)]" && ahead(4) != "#[test]" {
            at += 1;
            continue;
        }
        let mut depth = 0_usize;
        while let Some(word) = words.get_mut(at) {
            word.test = true;
            at += 1;
            match word.text.as_str() {
                "{" => depth += 1,
                "}" => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth == 0 && ["}", ";"].contains(&word.text.as_str()) {
                break;
            }
        }
    }
}

/// The words of a text, without comments and without the insides of strings and characters.
fn words(text: &str) -> Vec<Word> {
    let signs: Vec<char> = text.chars().collect();
    let mut words = Vec::new();
    let (mut at, mut line) = (0, 1);
    while at < signs.len() {
        let begin = at;
        let rest = &signs[at..];
        let mut word = None;
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
                word = Some("::".to_owned());
                at += 2;
            }
            [c, ..] if c.is_alphanumeric() || *c == '_' => {
                let length = rest.iter().position(|c| !c.is_alphanumeric() && *c != '_').unwrap_or(rest.len());
                word = Some(rest[..length].iter().collect());
                at += length;
            }
            [c, ..] => {
                word = (!c.is_whitespace()).then(|| c.to_string());
                at += 1;
            }
            [] => unreachable!("the loop ends before the end"),
        }
        words.extend(word.map(|text| Word { text, line, test: false }));
        line += signs[begin..at].iter().filter(|c| **c == '\n').count();
    }
    words
}

/// The length of a block comment, which may hold others.
fn block_comment(signs: &[char]) -> usize {
    let (mut depth, mut at) = (0, 0);
    while at < signs.len() {
        match signs[at..] {
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
fn raw_string(signs: &[char]) -> Option<usize> {
    let prefix = signs.iter().position(|c| *c == 'r')? + 1;
    let hashes = signs[prefix..].iter().take_while(|c| **c == '#').count();
    if signs.get(prefix + hashes) != Some(&'"') {
        return None;
    }
    let end: Vec<char> = std::iter::once('"').chain(std::iter::repeat_n('#', hashes)).collect();
    let begin = prefix + hashes + 1;
    let inside = signs[begin..].windows(end.len()).position(|window| window == end)?;
    Some(begin + inside + end.len())
}

/// The length of `"…"`.
fn string(signs: &[char]) -> usize {
    let mut at = 1;
    while at < signs.len() && signs[at] != '"' {
        at += if signs[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

/// The length of `'x'`, `'\n'` or `'\u{1b}'`; 1 for the tick of a lifetime or label.
fn character(signs: &[char]) -> usize {
    match signs {
        ['\'', '\\', _, rest @ ..] => 4 + rest.iter().position(|c| *c == '\'').unwrap_or(0),
        ['\'', _, '\'', ..] => 3,
        _ => 1,
    }
}
