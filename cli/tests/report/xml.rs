//! A strict parser for the XML that a page is: tags, quoted attributes, five entities and character references.

/// An element.
#[derive(Debug, Default)]
pub(crate) struct Element {
    pub(crate) name: String,
    pub(crate) attributes: Vec<(String, String)>,
    pub(crate) children: Vec<Element>,
    /// Text of its own and of all that is in it, in order.
    pub(crate) text: String,
}

impl Element {
    pub(crate) fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// Itself and all elements in it.
    pub(crate) fn all(&self) -> Vec<&Element> {
        let mut all = vec![self];
        for child in &self.children {
            all.extend(child.all());
        }
        all
    }

    /// All elements of a name and, if it is not empty, of a class.
    pub(crate) fn find(&self, name: &str, class: &str) -> Vec<&Element> {
        let has = |element: &&Element| {
            let classes = element.attribute("class").unwrap_or_default();
            element.name == name && (class.is_empty() || classes.split(' ').any(|own| own == class))
        };
        self.all().into_iter().filter(has).collect()
    }
}

/// Parses a document of one element after a document type.
pub(crate) fn parse(document: &str) -> Result<Element, String> {
    let rest = document.strip_prefix("<!DOCTYPE html>\n").ok_or("no document type")?;
    let mut parser = Parser { rest };
    parser.expect("<")?;
    let root = parser.element()?;
    if parser.rest.trim().is_empty() { Ok(root) } else { Err(parser.error("text after the end")) }
}

struct Parser<'d> {
    rest: &'d str,
}

impl<'d> Parser<'d> {
    fn error(&self, what: &str) -> String {
        format!("{what} at: {}", self.rest.chars().take(60).collect::<String>())
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        self.rest = self.rest.strip_prefix(token).ok_or_else(|| self.error(&format!("no {token}")))?;
        Ok(())
    }

    fn until(&mut self, end: &[char]) -> Result<&'d str, String> {
        let length = self.rest.find(end).ok_or_else(|| self.error("the document ends"))?;
        let (found, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(found)
    }

    fn name(&mut self) -> Result<String, String> {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == ':';
        let length = self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(length);
        if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
            return Err(self.error("no name"));
        }
        self.rest = rest;
        Ok(name.into())
    }

    /// An element after its first `<`.
    fn element(&mut self) -> Result<Element, String> {
        let mut element = Element { name: self.name()?, ..Element::default() };
        loop {
            let spaces = self.rest.len() - self.rest.trim_start().len();
            self.rest = self.rest.trim_start();
            if self.rest.starts_with('>') {
                break self.expect(">")?;
            }
            if self.rest.starts_with('/') {
                self.expect("/>")?;
                return Ok(element);
            }
            if spaces == 0 {
                return Err(self.error("no space before an attribute"));
            }
            let key = self.name()?;
            self.expect("=\"")?;
            let value = unescape(self.until(&['"', '<'])?)?;
            self.expect("\"")?;
            if element.attribute(&key).is_some() {
                return Err(self.error("an attribute twice"));
            }
            element.attributes.push((key, value));
        }
        loop {
            element.text += &unescape(self.until(&['<'])?)?;
            self.expect("<")?;
            if self.rest.starts_with('/') {
                self.expect(&format!("/{}>", element.name))?;
                return Ok(element);
            }
            let child = self.element()?;
            element.text += &child.text;
            element.children.push(child);
        }
    }
}

fn unescape(text: &str) -> Result<String, String> {
    if let Some(c) = text.chars().find(|&c| c.is_control() && c != '\n') {
        return Err(format!("a control character {c:?}"));
    }
    let mut parts = text.split('&');
    let mut plain = parts.next().unwrap_or_default().to_string();
    for part in parts {
        let (entity, rest) = part.split_once(';').ok_or_else(|| format!("a bare & before {part}"))?;
        plain.push(match entity {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "#39" => '\'',
            _ => return Err(format!("the entity {entity}")),
        });
        plain += rest;
    }
    Ok(plain)
}

#[test]
fn documents_that_are_not_well_formed_are_refused() {
    let good = parse("<!DOCTYPE html>\n<a b=\"&lt;1\"><c/>x &amp; <d>y</d></a>\n").unwrap();
    assert_eq!((good.text.as_str(), good.attribute("b")), ("x & y", Some("<1")));
    for body in [
        "<a>",
        "<a></b>",
        "<a><b></a></b>",
        "<a b=c></a>",
        "<a b=\"<\"></a>",
        "<a b=\"1\" b=\"2\"/>",
        "<a b=\"1\"c=\"2\"/>",
        "<a>&</a>",
        "<a>&nbsp;</a>",
        "<a>\u{1}</a>",
        "<a/><a/>",
        "text",
    ] {
        assert!(parse(&format!("<!DOCTYPE html>\n{body}")).is_err(), "{body}");
    }
}
