//! What services say in XML, read by name and without their namespaces.

use roxmltree::Document;

pub(crate) struct Page<'t>(Document<'t>);

/// An element. Lists are elements whose children are their members, whatever those are called.
#[derive(Clone, Copy)]
pub(crate) struct Node<'p, 't>(roxmltree::Node<'p, 't>);

impl<'t> Page<'t> {
    pub(crate) fn read(text: &'t str) -> Result<Self, String> {
        Document::parse(text).map(Self).map_err(|error| error.to_string())
    }

    /// Whether it is the answer to this operation and not some other page.
    pub(crate) fn answers(&self, operation: &str) -> bool {
        let root = self.0.root_element().tag_name().name();
        root.strip_suffix("Response") == Some(operation)
    }

    /// What was asked for: within `<DescribeXResult>`, or for services without it the answer itself.
    pub(crate) fn result(&self) -> Node<'_, 't> {
        let root = self.0.root_element();
        let is_result = |node: &roxmltree::Node<'_, '_>| node.tag_name().name().ends_with("Result");
        Node(root.children().find(is_result).unwrap_or(root))
    }

    /// Code and message, wherever a service puts them.
    pub(crate) fn error(&self) -> (String, String) {
        let mut all = self.0.descendants();
        let error = all.find(|node| node.tag_name().name() == "Error");
        let said = |name| {
            error
                .and_then(|error| Node(error).text(name))
                .unwrap_or_default()
                .to_owned()
        };
        (said("Code"), said("Message"))
    }
}

impl<'p, 't> Node<'p, 't> {
    pub(crate) fn child(&self, name: &str) -> Option<Self> {
        let mut children = self.0.children();
        children.find(|child| child.tag_name().name() == name).map(Node)
    }

    /// Behind each name its child, and so on.
    pub(crate) fn at(&self, path: &[&str]) -> Option<Self> {
        path.iter().try_fold(*self, |node, name| node.child(name))
    }

    pub(crate) fn text(&self, name: &str) -> Option<&'p str> {
        self.child(name)?.0.text().map(str::trim)
    }

    pub(crate) fn own_text(&self) -> Option<&'p str> {
        self.0.text().map(str::trim)
    }

    pub(crate) fn number(&self, name: &str) -> Option<f64> {
        self.text(name)?.parse().ok()
    }

    pub(crate) fn flag(&self, name: &str) -> bool {
        self.text(name) == Some("true")
    }

    /// Seconds since 1970.
    pub(crate) fn seconds(&self, name: &str) -> Option<f64> {
        seconds(self.text(name)?)
    }

    pub(crate) fn members(&self, list: &str) -> impl Iterator<Item = Self> + use<'p, 't> {
        let members = self.child(list).into_iter().flat_map(|list| list.0.children());
        members.filter(|node| node.is_element()).map(Node)
    }
}

/// A time as AWS writes it, in seconds since 1970.
pub(crate) fn seconds(text: &str) -> Option<f64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    #[expect(
        clippy::cast_precision_loss,
        reason = "milliseconds of this age are exact in a float"
    )]
    Some(time.as_millisecond() as f64 / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_errors_of_each_service_are_found() {
        let text = r#"<A xmlns="http://x/"><AResult><List><m><N> 1.5 </N><T>2026-01-01T00:00:01Z</T></m><m/></List></AResult></A>"#;
        let page = Page::read(text).unwrap();
        assert!(!page.answers("A"));
        let members: Vec<_> = page.result().members("List").collect();
        assert_eq!((members.len(), members[0].number("N")), (2, Some(1.5)));
        assert_eq!(members[0].seconds("T"), Some(1_767_225_601.0));
        for text in [
            "<ErrorResponse><Error><Code>A</Code><Message>b</Message></Error></ErrorResponse>",
            "<Response><Errors><Error><Code>A</Code><Message>b</Message></Error></Errors></Response>",
        ] {
            assert_eq!(
                Page::read(text).unwrap().error(),
                ("A".to_owned(), "b".to_owned())
            );
        }
    }
}
