//! Text to elements: well-formed, bounded, without DTD, entities or anything fetched.

use std::collections::HashMap;

use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::{BytesRef, BytesStart, Event};
use quick_xml::name::ResolveResult;
use quick_xml::{NsReader, XmlVersion};

use super::decode::place;
use super::limits::{Limits, within};
use super::version::Version;
use super::{Violation, schema, signature};
use crate::domain::alert::rules::is_xml_char;

/// XML Signature's namespace.
pub(super) const XMLDSIG: &str = "http://www.w3.org/2000/09/xmldsig#";
/// XInclude's namespace.
pub(super) const XINCLUDE: &str = "http://www.w3.org/2001/XInclude";
/// The only foreign attributes the schema knows are this namespace's, such as `schemaLocation`.
const XSI: &str = "http://www.w3.org/2001/XMLSchema-instance";

/// One element.
#[derive(Debug, Default)]
pub(super) struct Element {
    /// Its place, such as `/alert/info[1]/area[2]`.
    pub path: String,
    /// Its name without prefix.
    pub name: String,
    /// Its namespace.
    pub namespace: Option<String>,
    /// Its own text, references resolved.
    pub text: String,
    /// The elements in it.
    pub children: Vec<Element>,
    /// Names of attributes the CAP schema does not know.
    pub attributes: Vec<String>,
    /// An XML signature as it stands, made self-contained.
    pub signature: Option<String>,
}

/// Boxed, because every step of the parser carries it.
type Stop = Box<Violation>;

/// The root element of a CAP document and its version.
pub(super) fn parse(text: &str, limits: &Limits) -> Result<(Element, Version), Stop> {
    let mut parser = Parser::new(text, limits);
    while parser.step()? {}
    match (parser.root, parser.version) {
        (Some(root), Some(version)) => Ok((root, version)),
        _ => Err(Box::new(Violation::error("", "not_xml", "holds no XML element".to_owned()))),
    }
}

/// An element that is still open.
struct Open {
    element: Element,
    /// How many children of each name it has, for their paths.
    ordinals: HashMap<String, usize>,
    /// Where its start tag begins and the declarations to add, if it is a signature.
    signature: Option<(usize, String)>,
}

struct Parser<'t> {
    text: &'t str,
    limits: &'t Limits,
    reader: NsReader<&'t [u8]>,
    stack: Vec<Open>,
    root: Option<Element>,
    version: Option<Version>,
    elements: usize,
    signatures: usize,
}

impl<'t> Parser<'t> {
    fn new(text: &'t str, limits: &'t Limits) -> Self {
        let mut reader = NsReader::from_str(text);
        reader.config_mut().enable_all_checks(true);
        Self {
            text,
            limits,
            reader,
            stack: Vec::new(),
            root: None,
            version: None,
            elements: 0,
            signatures: 0,
        }
    }

    /// One event; false at the end.
    fn step(&mut self) -> Result<bool, Stop> {
        let from = self.offset();
        let event = match self.reader.read_event() {
            Ok(event) => event,
            Err(error) => {
                let at = usize::try_from(self.reader.error_position()).unwrap_or(usize::MAX);
                return Err(self.stop("not_well_formed", &error.to_string(), at));
            }
        };
        match event {
            Event::Start(start) => self.start(&start, from)?,
            Event::Empty(start) => {
                self.start(&start, from)?;
                self.end()?;
            }
            Event::End(_) => self.end()?,
            Event::Text(text) => {
                if text.contains("]]>") {
                    return Err(self.stop("not_well_formed", "`]]>` stands in a text", from));
                }
                self.characters(&text, from)?;
            }
            Event::CData(data) if self.stack.is_empty() => {
                return Err(self.stop("not_well_formed", &outside(&data), from));
            }
            Event::CData(data) => self.characters(&data, from)?,
            Event::GeneralRef(reference) => self.reference(&reference, from)?,
            Event::DocType(_) => {
                let message = "a document type declaration is never accepted";
                return Err(self.stop("doctype", message, from));
            }
            Event::Decl(_) if from > 0 => {
                return Err(self.stop("not_well_formed", "the XML declaration is not first", from));
            }
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) => {}
            Event::Eof => {
                if self.stack.is_empty() {
                    return Ok(false);
                }
                return Err(self.stop("not_well_formed", "the document ends too early", from));
            }
        }
        Ok(true)
    }

    fn start(&mut self, start: &BytesStart<'_>, from: usize) -> Result<(), Stop> {
        let namespace = match self.reader.resolver().resolve_element(start.name()).0 {
            ResolveResult::Bound(namespace) => Some(namespace.0.to_owned()),
            ResolveResult::Unbound => None,
            ResolveResult::Unknown(prefix) => {
                let message = format!("prefix `{prefix}` is not declared");
                return Err(self.stop("not_well_formed", &message, from));
            }
        };
        let name = start.local_name().as_ref().to_owned();
        let longest = name.len().max(namespace.as_ref().map_or(0, String::len));
        let above = self.stack.last().map_or("", |open| open.element.path.as_str());
        within(above, "limit_name", "bytes of a name", longest, self.limits.name_bytes)?;
        if self.stack.is_empty() {
            if self.root.is_some() {
                return Err(self.stop("not_well_formed", "there are two root elements", from));
            }
            self.version = Some(Version::of_root(&name, namespace.as_deref())?);
        }
        let path = self.path_of(&name);
        self.elements += 1;
        within(&path, "limit_elements", "elements", self.elements, self.limits.elements)?;
        within(&path, "limit_depth", "levels", self.stack.len() + 1, self.limits.depth)?;
        let attributes = self.attributes(start, from)?;
        let is_signature = self.stack.len() == 1 && namespace.as_deref() == Some(XMLDSIG);
        self.signatures += usize::from(is_signature);
        within(&path, "limit_signatures", "signatures", self.signatures, self.limits.signatures)?;
        let signature = is_signature
            .then(|| (from, signature::missing_declarations(start, self.reader.resolver())));
        let element = Element { path, name, namespace, attributes, ..Element::default() };
        self.stack.push(Open { element, ordinals: HashMap::new(), signature });
        Ok(())
    }

    fn end(&mut self) -> Result<(), Stop> {
        let to = self.offset();
        let Some(open) = self.stack.pop() else {
            return Err(self.stop("not_well_formed", "an end tag without a start", to));
        };
        let mut element = open.element;
        if let Some((from, declarations)) = open.signature {
            let raw = self.text.get(from..to).unwrap_or_default();
            element.signature = Some(signature::self_contained(raw, &declarations));
            element.children.clear();
        }
        match self.stack.last_mut() {
            Some(parent) => parent.element.children.push(element),
            None => self.root = Some(element),
        }
        Ok(())
    }

    fn characters(&mut self, text: &str, from: usize) -> Result<(), Stop> {
        let Some(open) = self.stack.last_mut() else {
            if text.trim_matches(is_blank).is_empty() {
                return Ok(());
            }
            let rule = if self.root.is_none() { "not_xml" } else { "not_well_formed" };
            return Err(self.stop(rule, &outside(text), from));
        };
        let element = &mut open.element;
        element.text.push_str(text);
        if element.name != "derefUri" {
            let (length, most) = (element.text.len(), self.limits.text_bytes);
            within(&element.path, "limit_text", "bytes of text", length, most)?;
        }
        Ok(())
    }

    fn reference(&mut self, reference: &BytesRef<'_>, from: usize) -> Result<(), Stop> {
        let resolved = match reference.resolve_char_ref() {
            Ok(Some(character)) if is_xml_char(character) => character.to_string(),
            Ok(None) => match resolve_xml_entity(reference) {
                Some(text) => text.to_owned(),
                None => {
                    let message = format!(
                        "entity `&{}` is not one of the five of XML",
                        reference.chars().take(40).collect::<String>()
                    );
                    return Err(self.stop("entity", &message, from));
                }
            },
            Ok(Some(_)) | Err(_) => {
                return Err(self.stop("not_well_formed", "no such character reference", from));
            }
        };
        if self.stack.is_empty() {
            return Err(self.stop("not_well_formed", &outside(&resolved), from));
        }
        self.characters(&resolved, from)
    }

    /// Checks every attribute and returns the names of those CAP does not know.
    fn attributes(&self, start: &BytesStart<'_>, from: usize) -> Result<Vec<String>, Stop> {
        let mut foreign = Vec::new();
        for attribute in start.attributes() {
            let attribute = attribute
                .map_err(|error| self.stop("not_well_formed", &error.to_string(), from))?;
            let value = attribute
                .normalized_value(XmlVersion::Implicit1_0)
                .map_err(|_| self.stop("entity", "an attribute holds an unknown entity", from))?;
            if value.chars().any(|character| !is_xml_char(character))
                || attribute.value.contains('<')
            {
                return Err(self.stop("not_well_formed", "an attribute's value is not XML", from));
            }
            let key = attribute.key;
            let known = key.as_namespace_binding().is_some()
                || matches!(self.reader.resolver().resolve_attribute(key).0,
                    ResolveResult::Bound(namespace) if namespace.0 == XSI);
            if !known {
                foreign.push(key.0.to_owned());
            }
        }
        Ok(foreign)
    }

    /// The path a new child of the open element has; counts it.
    fn path_of(&mut self, name: &str) -> String {
        let Some(parent) = self.stack.last_mut() else { return format!("/{name}") };
        let ordinal = parent.ordinals.entry(name.to_owned()).or_insert(0);
        *ordinal += 1;
        if *ordinal > 1 || schema::repeats(name) {
            format!("{}/{name}[{ordinal}]", parent.element.path)
        } else {
            format!("{}/{name}", parent.element.path)
        }
    }

    fn offset(&self) -> usize {
        usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX)
    }

    /// The end of reading: what follows cannot be trusted.
    fn stop(&self, rule: &'static str, message: &str, at: usize) -> Stop {
        let path = self.stack.last().map_or("", |open| open.element.path.as_str());
        Box::new(Violation::error(path, rule, format!("{message}, {}", place(self.text, at))))
    }
}

/// XML's blanks (production 3), fewer than Unicode's.
pub(super) fn is_blank(character: char) -> bool {
    matches!(character, ' ' | '\t' | '\n' | '\r')
}

fn outside(text: &str) -> String {
    let start: String = text.trim().chars().take(20).collect();
    format!("`{start}` stands outside the root element")
}
