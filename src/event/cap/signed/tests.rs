//! The canonicalisation that is used, held to the examples of the W3C's own texts, and the form of
//! signature that is taken. Attacks on whole documents are in `tests/it/signatures`.

use super::super::{Limits, read_signed};
use super::canonical::{Node, Tree};

fn canonical(text: &str) -> String {
    let tree = Tree::parse(text, 32).expect("well-formed");
    // Nothing is left out of a document whose root has no such child.
    let root = tree.root().expect("a root");
    let marker = root.elements().into_iter().find(|child| child.name() == "left-out");
    let octets = match marker {
        Some(child) => tree.canonical_without(child),
        None => tree.canonical_of(root),
    };
    String::from_utf8(octets.expect("canonical")).expect("UTF-8")
}

fn element<'t>(tree: &'t Tree<'_>, name: &str) -> Node<'t> {
    let mut found = Vec::new();
    tree.root().expect("a root").find(&mut |node| node.name() == name, &mut found);
    found[0]
}

/// Exclusive XML Canonicalization 1.0, section 2.2: one element, wherever it is enveloped, has one
/// canonical form.
#[test]
fn an_element_is_the_same_in_every_envelope() {
    let inside = "<n1:elem2 xmlns:n1=\"http://example.net\" xml:lang=\"en\">\n    \
        <n3:stuff xmlns:n3=\"ftp://example.org\"/>\n  </n1:elem2>";
    let one = format!(
        "<n0:local xmlns:n0=\"foo:bar\" xmlns:n3=\"ftp://example.org\">\n  {inside}\n</n0:local>"
    );
    let other = format!(
        "<n2:pdu xmlns:n1=\"http://example.com\" xmlns:n2=\"http://foo.example\" \
         xml:lang=\"fr\" xml:space=\"retain\">\n  {inside}\n</n2:pdu>"
    );
    let expected = "<n1:elem2 xmlns:n1=\"http://example.net\" xml:lang=\"en\">\n    \
        <n3:stuff xmlns:n3=\"ftp://example.org\"></n3:stuff>\n  </n1:elem2>";
    for text in [one, other] {
        let tree = Tree::parse(&text, 32).expect("well-formed");
        let octets = tree.canonical_of(element(&tree, "elem2")).expect("canonical");
        assert_eq!(String::from_utf8_lossy(&octets), expected);
    }
}

/// The same, section 2.1: a declaration that the element does not use stays outside.
#[test]
fn a_declaration_that_is_not_used_stays_outside() {
    let text = "<n0:pdu xmlns:n0=\"http://a.example\">\
        <n1:elem1 xmlns:n1=\"http://b.example\">\n     content\n</n1:elem1></n0:pdu>";
    let tree = Tree::parse(text, 32).expect("well-formed");
    let octets = tree.canonical_of(element(&tree, "elem1")).expect("canonical");
    let expected = "<n1:elem1 xmlns:n1=\"http://b.example\">\n     content\n</n1:elem1>";
    assert_eq!(String::from_utf8_lossy(&octets), expected);
}

/// Canonical XML 1.0, section 3.1, without the document type, which is never accepted.
#[test]
fn instructions_stay_and_comments_go() {
    let text = "<?xml version=\"1.0\"?>\n\n<?xml-stylesheet   href=\"doc.xsl\"\n   \
        type=\"text/xsl\"   ?>\n\n<doc>Hello, world!<!-- Comment 1 --><left-out/></doc>\n\n\
        <?pi-without-data     ?>\n\n<!-- Comment 2 -->\n\n<!-- Comment 3 -->\n";
    let expected = "<?xml-stylesheet href=\"doc.xsl\"\n   type=\"text/xsl\"   ?>\n\
        <doc>Hello, world!</doc>\n<?pi-without-data?>";
    assert_eq!(canonical(text), expected);
}

/// The same, section 3.2: blanks in content are kept as they are.
#[test]
fn blanks_in_content_are_kept() {
    let text = "<doc>\n   <clean>   </clean>\n   <dirty>   A   B   </dirty>\n   <mixed>\n      A\n\
        \x20     <clean>   </clean>\n      B\n      <dirty>   A   B   </dirty>\n      C\n\
        \x20  </mixed>\n</doc>";
    assert_eq!(canonical(text), text);
}

/// The same, section 3.3, where exclusive canonicalisation gives no other result.
#[test]
fn tags_are_written_in_one_way_with_their_attributes_in_order() {
    let text = "<doc>\n   <e1   />\n   <e2   ></e2>\n   \
        <e3   name = \"elem3\"   id=\"elem3\"   />\n   \
        <e4   name=\"elem4\"   id=\"elem4\"   ></e4>\n   <e5 a:attr=\"out\" \
        b:attr=\"sorted\" attr2=\"all\" attr=\"I'm\"\n      xmlns:b=\"http://www.ietf.org\"\n      \
        xmlns:a=\"http://www.w3.org\"\n      xmlns=\"http://example.org\"/>\n</doc>";
    let expected = "<doc>\n   <e1></e1>\n   <e2></e2>\n   <e3 id=\"elem3\" name=\"elem3\"></e3>\n\
        \x20  <e4 id=\"elem4\" name=\"elem4\"></e4>\n   <e5 xmlns=\"http://example.org\" \
        xmlns:a=\"http://www.w3.org\" xmlns:b=\"http://www.ietf.org\" attr=\"I'm\" \
        attr2=\"all\" b:attr=\"sorted\" a:attr=\"out\"></e5>\n</doc>";
    assert_eq!(canonical(text), expected);
}

/// The same, section 3.4, without what only a document type can say.
#[test]
fn characters_are_written_in_one_way() {
    let text = "<doc>\n   <text>First line&#x0d;&#10;Second line</text>\n   \
        <value>&#x32;</value>\n   <compute><![CDATA[value>\"0\" && value<\"10\" \
        ?\"valid\":\"error\"]]></compute>\n   <compute expr='value>\"0\" &amp;&amp; \
        value&lt;\"10\" ?\"valid\":\"error\"'>valid</compute>\n   \
        <norm attr=' &apos;   &#x20;&#13;&#xa;&#9;   &apos; '/>\n</doc>";
    let expected = "<doc>\n   <text>First line&#xD;\nSecond line</text>\n   <value>2</value>\n   \
        <compute>value&gt;\"0\" &amp;&amp; value&lt;\"10\" ?\"valid\":\"error\"</compute>\n   \
        <compute expr=\"value>&quot;0&quot; &amp;&amp; value&lt;&quot;10&quot; \
        ?&quot;valid&quot;:&quot;error&quot;\">valid</compute>\n   \
        <norm attr=\" '    &#xD;&#xA;&#x9;   ' \"></norm>\n</doc>";
    assert_eq!(canonical(text), expected);
}

/// A default namespace is taken back where an element is in none, and only there.
#[test]
fn a_default_namespace_is_taken_back_where_it_must_be() {
    let text = "<e7 xmlns=\"http://www.ietf.org\"><e8 xmlns=\"\" xmlns:a=\"urn:a\">\
        <e9 xmlns=\"\" xmlns:a=\"urn:b\" a:x=\"1\"/></e8></e7>";
    let expected = "<e7 xmlns=\"http://www.ietf.org\"><e8 xmlns=\"\">\
        <e9 xmlns:a=\"urn:b\" a:x=\"1\"></e9></e8></e7>";
    assert_eq!(canonical(text), expected);
}

/// What is read is in the form of the octets, so canonicalising them again changes nothing.
#[test]
fn a_canonical_form_is_its_own() {
    let text = "<a:doc xmlns:a='urn:a' xmlns:unused='urn:u' z='1' a:y=\"&quot;&#xA;\">\
        &lt;ủ&#xD;<b xmlns='urn:b'/><?p q?></a:doc>";
    let once = canonical(text);
    assert_eq!(canonical(&once), once);
    assert!(!once.contains("unused"), "{once}");
}

#[test]
fn document_types_depth_and_what_is_no_xml_are_refused() {
    for text in ["<!DOCTYPE a><a/>", "<a>", "", "<a/><b/>", "<a b='1' b='2'/>", "<x:a/>"] {
        assert!(Tree::parse(text, 32).is_err(), "{text}");
    }
    let deep = format!("{}{}", "<a>".repeat(40), "</a>".repeat(40));
    assert!(Tree::parse(&deep, 32).is_err() && Tree::parse(&deep, 64).is_ok());
}

#[test]
fn a_message_without_exactly_one_signature_is_no_signed_one() {
    let ds = "http://www.w3.org/2000/09/xmldsig#";
    let one = format!("<Signature xmlns=\"{ds}\"/>");
    for (inside, rule) in [
        (String::new(), "signature_one"),
        (format!("{one}{one}"), "signature_one"),
        (format!("<info>{one}</info>"), "signature_place"),
        (format!("{one}<Object xmlns=\"{ds}\"/>"), "signature_form"),
        (one.clone(), "signature_form"),
        ("<Signature xmlns=\"urn:other\"/>".to_owned(), "signature_one"),
    ] {
        let text =
            format!("<alert xmlns=\"urn:oasis:names:tc:emergency:cap:1.2\">{inside}</alert>");
        let found = read_signed(text.as_bytes(), &Limits::default()).expect_err("refused");
        assert_eq!(found[0].rule, rule, "{inside}");
    }
}
