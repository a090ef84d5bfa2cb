//! Circles of imports: the direct sub-modules of a module do not import each other in a circle.
//!
//! A sub-module stands for itself and everything below it. A module's own file (`mod.rs`) is not part of the graph, but a
//! name that it imports or re-exports counts, where a sub-module uses it, as an import of the sub-module it comes from.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::rules::child;
use crate::source::Source;

/// The longest chain of imported names that is resolved.
const CHAIN: usize = 8;

type Module = Vec<String>;

/// The imports between siblings, with their places: `file:line`.
type Graph = BTreeMap<Module, BTreeMap<Module, String>>;

/// Every circle of imports between siblings, once.
pub fn circles(files: &[Source]) -> Vec<String> {
    let imports = imports(files);
    let modules: BTreeSet<Module> = files.iter().map(Source::module).collect();
    let parents: BTreeSet<&[String]> =
        modules.iter().flat_map(|module| (1..module.len()).map(|length| &module[..length])).collect();
    let mut violations = Vec::new();
    for parent in parents {
        let found = circles_of(&siblings(parent, &imports, &modules));
        violations.extend(found.iter().map(|circle| describe(&parent.join("::"), circle)));
    }
    violations
}

/// An import: the importing module, the target, and the place.
struct Import {
    from: Module,
    to: Module,
    at: String,
}

/// Every import outside tests: as written, and as resolved through imported names.
fn imports(files: &[Source]) -> Vec<Import> {
    let mut names: BTreeMap<Module, Module> = BTreeMap::new();
    let mut written = Vec::new();
    for file in files {
        let from = file.module();
        for path in file.used_paths() {
            // The module of a path without a prefix is unknown; imported names were read at their `use`.
            if path.test || path.parts[0] != "crate" {
                continue;
            }
            let to = path.parts[1..].to_vec();
            if path.imported {
                names.insert([from.clone(), vec![path.name.clone()]].concat(), to.clone());
            }
            written.push(Import { from: from.clone(), to, at: format!("{}:{}", file.file, path.line) });
        }
    }
    let resolved = written.iter().filter_map(|import| {
        let to = resolve(&import.to, &names)?;
        Some(Import { from: import.from.clone(), to, at: import.at.clone() })
    });
    let resolved: Vec<Import> = resolved.collect();
    written.extend(resolved);
    written
}

/// The path without imported names, if it has any.
fn resolve(path: &[String], names: &BTreeMap<Module, Module>) -> Option<Module> {
    let mut current = path.to_vec();
    for _ in 0..CHAIN {
        let step = (1..=current.len()).find_map(|length| {
            let target = names.get(&current[..length])?;
            Some([target.as_slice(), &current[length..]].concat())
        });
        match step {
            Some(next) => current = next,
            None => break,
        }
    }
    (current != path).then_some(current)
}

fn siblings(parent: &[String], imports: &[Import], modules: &BTreeSet<Module>) -> Graph {
    let mut graph = Graph::new();
    for import in imports {
        let (Some(from), Some(to)) = (child(&import.from, parent), child(&import.to, parent)) else { continue };
        if from != to && modules.iter().any(|module| module.starts_with(to)) {
            graph.entry(from.to_vec()).or_default().entry(to.to_vec()).or_insert_with(|| import.at.clone());
        }
    }
    graph
}

/// For each group of modules that reach each other, the shortest circle: modules with the place of the next import.
fn circles_of(graph: &Graph) -> Vec<Vec<(Module, String)>> {
    let mut reported: BTreeSet<&Module> = BTreeSet::new();
    let mut circles = Vec::new();
    for start in graph.keys() {
        if reported.contains(start) {
            continue;
        }
        let group = graph.keys().filter(|other| reach(graph, start, other).is_some());
        let group: Vec<&Module> = group.filter(|other| reach(graph, other, start).is_some()).collect();
        let shortest = group.iter().filter_map(|module| reach(graph, module, module)).min_by_key(Vec::len);
        circles.extend(shortest);
        reported.extend(group);
    }
    circles
}

/// The shortest chain of imports from one module to another one, or back to itself.
fn reach(graph: &Graph, from: &Module, to: &Module) -> Option<Vec<(Module, String)>> {
    let mut queue = VecDeque::from([(from.clone(), Vec::new())]);
    let mut seen: BTreeSet<Module> = BTreeSet::new();
    while let Some((module, chain)) = queue.pop_front() {
        for (next, at) in graph.get(&module).into_iter().flatten() {
            let chain = [chain.clone(), vec![(module.clone(), at.clone())]].concat();
            if next == to {
                return Some(chain);
            }
            if seen.insert(next.clone()) {
                queue.push_back((next.clone(), chain));
            }
        }
    }
    None
}

fn describe(parent: &str, circle: &[(Module, String)]) -> String {
    let last = |module: &Module| module.last().cloned().unwrap_or_default();
    let names: Vec<String> = circle.iter().chain(&circle[..1]).map(|(module, _)| last(module)).collect();
    let arrows: Vec<String> =
        circle.iter().zip(&names[1..]).map(|((from, at), to)| format!("{} → {to} at {at}", last(from))).collect();
    format!("{}: circle in `{parent}`: {} ({})", circle[0].1, names.join(" → "), arrows.join(", "))
}
