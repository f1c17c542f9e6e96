//! The order of a graph's nodes.

use crate::error::ImportError;
use crate::graph::{Graph, Node};
use crate::primitive::Primitive;
use std::collections::{BTreeMap, BTreeSet};

/// A node of a chain.
pub(super) struct Link<'a> {
    pub(super) name: String,
    pub(super) node: &'a Node,
    /// Weights from the node to itself, and their name.
    pub(super) recurrent: Option<(String, &'a Node)>,
}

/// The nodes from the input on, each the only one behind the one before it.
pub(super) fn chain(graph: &Graph) -> Result<Vec<Link<'_>>, ImportError> {
    let mut flat = Flat::default();
    flat.take_apart(graph, "")?;
    let mut left: BTreeSet<String> = flat.nodes.keys().cloned().collect();
    let mut links: Vec<Link<'_>> = Vec::new();
    let mut next = Some(flat.input()?);
    while let Some(name) = next {
        let before = links.last().map(|link| link.name.clone());
        if !left.remove(&name) {
            return Err(not_a_chain(&name, "it is part of a loop"));
        }
        let recurrent = flat.recurrent_weights(&name);
        if let Some((weights, _)) = &recurrent {
            left.remove(weights);
        }
        let is_loop = |other: &&String| recurrent.as_ref().is_some_and(|(weights, _)| weights == *other);
        let strangers = |ends: Option<&BTreeSet<String>>, known: Option<&String>| -> Vec<String> {
            ends.into_iter().flatten().filter(|end| !is_loop(end) && Some(*end) != known).cloned().collect()
        };
        if let [other, ..] = &strangers(flat.before.get(&name), before.as_ref())[..] {
            return Err(not_a_chain(&name, format!("it has a second input, `{other}`")));
        }
        let mut behind = strangers(flat.behind.get(&name), None);
        if behind.len() > 1 {
            return Err(not_a_chain(&name, format!("it leads to `{}` and `{}`", behind[0], behind[1])));
        }
        let node = flat.nodes[&name];
        links.push(Link { name, node, recurrent });
        next = behind.pop();
    }
    match left.pop_first() {
        None => Ok(links),
        Some(name) => Err(not_a_chain(&name, "it is not reached from the input")),
    }
}

fn not_a_chain(node: &str, reason: impl Into<String>) -> ImportError {
    ImportError::NotAChain { node: node.to_owned(), reason: reason.into() }
}

/// A graph whose subgraphs are taken apart; names within them begin with theirs and a point.
#[derive(Default)]
struct Flat<'a> {
    nodes: BTreeMap<String, &'a Node>,
    before: BTreeMap<String, BTreeSet<String>>,
    behind: BTreeMap<String, BTreeSet<String>>,
}

impl<'a> Flat<'a> {
    fn take_apart(&mut self, graph: &'a Graph, prefix: &str) -> Result<(), ImportError> {
        let mut ends = BTreeMap::new();
        for (name, node) in &graph.nodes {
            let full = format!("{prefix}{name}");
            if let Primitive::Graph(inner) = &node.primitive {
                let inner_prefix = format!("{full}.");
                let input = only(inner, &full, "Input", |p| matches!(p, Primitive::Input { .. }))?;
                let output = only(inner, &full, "Output", |p| matches!(p, Primitive::Output { .. }))?;
                ends.insert(name, [format!("{inner_prefix}{input}"), format!("{inner_prefix}{output}")]);
                self.take_apart(inner, &inner_prefix)?;
            } else if self.nodes.insert(full.clone(), node).is_some() {
                return Err(not_a_chain(&full, "there are two nodes of this name"));
            }
        }
        for (from, to) in &graph.edges {
            let end = |name: &String, side: usize| match ends.get(name) {
                Some(ends) => ends[side].clone(),
                None => format!("{prefix}{name}"),
            };
            let (from, to) = (end(from, 1), end(to, 0));
            self.before.entry(to.clone()).or_default().insert(from.clone());
            self.behind.entry(from).or_default().insert(to);
        }
        Ok(())
    }

    /// The only `Input` that nothing leads to.
    fn input(&self) -> Result<String, ImportError> {
        let is_input = |name: &&String| {
            matches!(self.nodes[*name].primitive, Primitive::Input { .. }) && !self.before.contains_key(*name)
        };
        let mut inputs = self.nodes.keys().filter(is_input);
        match (inputs.next(), inputs.next()) {
            (Some(input), None) => Ok(input.clone()),
            (Some(_), Some(second)) => Err(not_a_chain(second, "it is a second input of the graph")),
            (None, _) => Err(not_a_chain("graph", "it has no `Input`")),
        }
    }

    /// The weights whose only input and output are these neurons.
    fn recurrent_weights(&self, name: &str) -> Option<(String, &'a Node)> {
        if !is_neuron(&self.nodes.get(name)?.primitive) {
            return None;
        }
        let is_alone =
            |ends: Option<&BTreeSet<String>>| ends.is_some_and(|ends| ends.len() == 1 && ends.contains(name));
        let is_weights = |other: &&String| {
            let node = self.nodes.get(*other);
            node.is_some_and(|n| matches!(n.primitive, Primitive::Linear { .. } | Primitive::Affine { .. }))
                && is_alone(self.before.get(*other))
                && is_alone(self.behind.get(*other))
        };
        let weights = self.behind.get(name)?.iter().find(is_weights)?;
        Some((weights.clone(), self.nodes[weights]))
    }
}

fn is_neuron(primitive: &Primitive) -> bool {
    use Primitive as P;
    matches!(
        primitive,
        P::Lif { .. } | P::If { .. } | P::CubaLif { .. } | P::Li { .. } | P::I { .. } | P::Threshold { .. }
    )
}

fn only<'a>(
    graph: &'a Graph,
    name: &str,
    kind: &str,
    is_kind: impl Fn(&Primitive) -> bool,
) -> Result<&'a String, ImportError> {
    let mut found = graph.nodes.iter().filter(|(_, node)| is_kind(&node.primitive)).map(|(name, _)| name);
    match (found.next(), found.next()) {
        (Some(only), None) => Ok(only),
        _ => Err(not_a_chain(name, format!("it is a subgraph without exactly one `{kind}`"))),
    }
}
