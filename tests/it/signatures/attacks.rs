//! Every way to make a signature say what was not signed, against a whole node: refused by name,
//! and nothing is published.

use std::collections::BTreeSet;

use aws_lc_rs::hmac;

use super::*;

/// A document that must be refused with a code and a rule.
type Attack = (&'static str, String, (&'static str, &'static str));

const WRONG: &str = "bad_signature";

/// The alert without its declaration, as it is put inside of something.
fn bare(document: &str) -> String {
    document.split_once("?>").expect("a declaration").1.to_owned()
}

/// The signature of a signed document.
fn cut(signed: &str) -> (String, String) {
    let (head, rest) = signed.split_once("<Signature ").expect("a signature");
    let (inside, tail) = rest.split_once("</Signature>").expect("an end");
    (format!("{head}{tail}"), format!("<Signature {inside}</Signature>"))
}

/// Signature wrapping (XSW 1 to 8, as they are told of SAML) turned on CAP: what was signed is kept
/// somewhere, and other words stand where a reader looks.
fn wrapped(key: &Key) -> Vec<Attack> {
    let (original, forged) = (alert("original"), alert("forged"));
    let signed = key.sign(&original);
    let (_, signature) = cut(&signed);
    let original = bare(&original);
    let by_id = |id: &str| {
        let digest = sha256(&original);
        let info = signed_info(&key.algorithm(), &digest);
        let info = replaced(&info, "URI=\"\"", &format!("URI=\"#{id}\""));
        let value = key.value(info.as_bytes());
        format!(
            "<Signature xmlns=\"{DSIG}\">{info}<SignatureValue>{value}</SignatureValue>\
             <Object Id=\"{id}\">{original}</Object></Signature>"
        )
    };
    let object = format!("<Object>{original}</Object></Signature>");
    let in_object = replaced(&signature, "</Signature>", &object);
    let inside = replaced(&signed, "</info>", &format!("{}</info>", bare(&forged)));
    let wrapper = replaced(&forged, "</info>", &format!("{}</info>", bare(&signed)));
    let moved = replaced(&forged, "</area>", &format!("{signature}</area>"));
    let with_id = replaced(&forged, "<alert ", "<alert Id=\"it\" ");
    let twice = before_end(&before_end(&forged, &original), &signature);
    vec![
        ("xsw1", before_end(&forged, &in_object), (WRONG, "signature_object")),
        ("xsw2", twice, ("bad_cap", "element_unknown")),
        ("xsw3", before_end(&forged, &bare(&signed)), ("bad_cap", "element_unknown")),
        ("xsw4", inside, ("bad_cap", "element_unknown")),
        ("xsw5", before_end(&with_id, &by_id("it")), ("bad_cap", "attribute_unknown")),
        ("xsw6", before_end(&forged, &by_id("other")), (WRONG, "signature_object")),
        ("xsw7", wrapper, ("bad_cap", "element_unknown")),
        ("xsw8", moved, ("bad_cap", "element_foreign")),
    ]
}

/// Another `SignedInfo`, under a value that is good for it.
fn templates(key: &Key) -> Vec<Attack> {
    let document = alert("template");
    let altered = |from: &str, to: &str| key.sign_as(&document, |info| replaced(&info, from, to));
    let exclusive = "http://www.w3.org/2001/10/xml-exc-c14n#";
    let transform = |algorithm: &str| format!("<Transform Algorithm=\"{algorithm}\"></Transform>");
    let enveloped = transform(&format!("{DSIG}enveloped-signature"));
    let xpath = format!(
        "<Transform Algorithm=\"http://www.w3.org/TR/1999/REC-xpath-19991116\">\
         <XPath xmlns=\"{DSIG}\">false()</XPath></Transform>"
    );
    let xslt = transform("http://www.w3.org/TR/1999/REC-xslt-19991116");
    let second = "</Reference><Reference URI=\"\"></Reference>";
    let prefixes = format!(
        "{exclusive}\"><InclusiveNamespaces xmlns=\"{exclusive}\" PrefixList=\"#default\">\
         </InclusiveNamespaces></CanonicalizationMethod>"
    );
    let canonical = format!("{exclusive}\"></CanonicalizationMethod>");
    let empty = sha256("");
    let digest = sha256(&bare(&document));
    let nothing =
        |info: String| replaced(&replaced(&info, "URI=\"\"", "URI=\"#nothing\""), &digest, &empty);
    let inclusive = "http://www.w3.org/TR/2001/REC-xml-c14n-20010315";
    let commented = format!("{exclusive}WithComments\"></CanonicalizationMethod>");
    vec![
        ("by id", altered("URI=\"\"", "URI=\"#a\""), (WRONG, "signature_reference")),
        ("elsewhere", altered("URI=\"\"", "URI=\"https://x/\""), (WRONG, "signature_reference")),
        ("no URI", altered(" URI=\"\"", ""), (WRONG, "signature_reference")),
        ("empty node set", key.sign_as(&document, nothing), (WRONG, "signature_reference")),
        ("two references", altered("</Reference>", second), (WRONG, "signature_reference")),
        ("a manifest", altered("URI=\"\"", "URI=\"\" Type=\"m\""), (WRONG, "signature_form")),
        ("XPath", altered(&enveloped, &xpath), (WRONG, "signature_transforms")),
        ("XSLT", altered(&enveloped, &xslt), (WRONG, "signature_transforms")),
        (
            "more",
            altered(&enveloped, &format!("{enveloped}{xpath}")),
            (WRONG, "signature_transforms"),
        ),
        ("not enveloped", altered(&enveloped, ""), (WRONG, "signature_transforms")),
        ("prefixes", altered(&canonical, &prefixes), (WRONG, "signature_canonicalisation")),
        ("comments", altered(&canonical, &commented), (WRONG, "signature_canonicalisation")),
        (
            "inclusive",
            altered(&format!("{exclusive}\"></C"), &format!("{inclusive}\"></C")),
            (WRONG, "signature_canonicalisation"),
        ),
        ("no digest", altered(&digest, ""), (WRONG, "signature_digest")),
    ]
}

/// Another algorithm, under a value that is good for `SignedInfo`.
fn algorithms(key: &Key) -> Vec<Attack> {
    let document = alert("algorithm");
    let altered = |from: &str, to: &str| key.sign_as(&document, |info| replaced(&info, from, to));
    let method = format!("<SignatureMethod Algorithm=\"{}\">", key.algorithm());
    let sha256_uri = "http://www.w3.org/2001/04/xmlenc#sha256";
    vec![
        ("none", altered(&key.algorithm(), "none"), (WRONG, "signature_algorithm")),
        (
            "SHA-1",
            altered(&key.algorithm(), &format!("{DSIG}rsa-sha1")),
            (WRONG, "signature_algorithm"),
        ),
        (
            "a shorter HMAC",
            altered(&method, &format!("{method}<HMACOutputLength>8</HMACOutputLength>")),
            (WRONG, "signature_algorithm"),
        ),
        (
            "SHA-1 digest",
            altered(sha256_uri, &format!("{DSIG}sha1")),
            (WRONG, "signature_digest_algorithm"),
        ),
        (
            "RSA by a key of another kind",
            altered(&key.algorithm(), &format!("{MORE}rsa-sha256")),
            (WRONG, "signature_key"),
        ),
        (
            "a hash that is not the curve's",
            altered(&key.algorithm(), &format!("{MORE}ecdsa-sha512")),
            (WRONG, "signature_key"),
        ),
    ]
}

/// HMAC with what everybody knows as its secret.
fn by_hmac(key: &Key) -> String {
    let document = alert("hmac");
    let digest = sha256(&bare(&document));
    let info = signed_info(&format!("{MORE}hmac-sha256"), &digest);
    let secret = hmac::Key::new(hmac::HMAC_SHA256, key.pem.as_bytes());
    let value = STANDARD.encode(hmac::sign(&secret, info.as_bytes()));
    let signature = format!(
        "<Signature xmlns=\"{DSIG}\">{info}<SignatureValue>{value}</SignatureValue></Signature>"
    );
    before_end(&document, &signature)
}

/// The document and its signature, changed after it was signed.
fn changed(key: &Key, stranger: &Key) -> Vec<Attack> {
    let document = alert("changed");
    let signed = key.sign(&document);
    let (unsigned, signature) = cut(&signed);
    let fake = replaced(&signature, DSIG, "urn:x");
    let prefixed = replaced(&signed, "<alert xmlns=", "<c:alert xmlns:c=");
    let prefixed = prefixed.replace("</alert>", "</c:alert>");
    let doctype = replaced(&signed, "<alert ", "<!DOCTYPE alert [<!ENTITY e \"x\">]><alert ");
    let ids = replaced(&signed, "<info>", "<info Id=\"it\">").replace("<area>", "<area Id=\"it\">");
    let of_a_stranger = stranger.sign(&document);
    let value = signature.split_once("<SignatureValue>").expect("a value").1;
    let (value, _) = value.split_once('<').expect("an end");
    let second_info = format!("<SignedInfo xmlns=\"{DSIG}\"></SignedInfo><SignatureValue>");
    let digest = sha256(&bare(&document));
    vec![
        ("words", replaced(&signed, "Ngập sâu", "Ngập nông"), (WRONG, "signature_digest")),
        ("a blank", replaced(&signed, "<info>", " <info>"), (WRONG, "signature_digest")),
        ("an instruction", replaced(&signed, "<info>", "<?x?><info>"), (WRONG, "signature_digest")),
        ("digest", replaced(&signed, &digest, &sha256("x")), (WRONG, "signature_digest")),
        ("value", replaced(&signed, value, &flipped(value)), (WRONG, "signature_value")),
        ("no value", replaced(&signed, value, ""), (WRONG, "signature_value")),
        ("no base64", replaced(&signed, value, "***"), (WRONG, "signature_form")),
        ("two", before_end(&signed, &signature), (WRONG, "signature_one")),
        ("another namespace", before_end(&unsigned, &fake), ("bad_cap", "element_foreign")),
        ("prefixes", prefixed, ("bad_cap", "element_foreign")),
        ("a document type", doctype, ("bad_cap", "doctype")),
        ("an entity", replaced(&signed, "Ngập sâu", "&e;"), ("bad_cap", "entity")),
        ("the same id twice", ids, ("bad_cap", "attribute_unknown")),
        (
            "two SignedInfo",
            replaced(&signed, "<SignatureValue>", &second_info),
            (WRONG, "signature_form"),
        ),
        ("a stranger's", of_a_stranger.clone(), (WRONG, "signature_value")),
        (
            "a stranger's, with its certificate",
            with_key_info(&of_a_stranger, &stranger.der),
            (WRONG, "signature_certificate"),
        ),
        (
            "a stranger's, with ours",
            with_key_info(&of_a_stranger, &key.der),
            (WRONG, "signature_value"),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn every_wrapped_altered_or_borrowed_signature_is_refused_by_name() {
    let test = TestNode::start().await;
    let (key, stranger) = (Key::p256(), Key::p256());
    register(&test, [("desk", &key)]).await;
    let hmac = ("hmac", by_hmac(&key), (WRONG, "signature_algorithm"));
    let all =
        [wrapped(&key), templates(&key), algorithms(&key), changed(&key, &stranger), vec![hmac]]
            .concat();
    let mut unlike = BTreeSet::new();
    for (name, document, (code, rule)) in &all {
        let answer = post(&test, document).await;
        let status = if *code == WRONG { 403 } else { 422 };
        let expected = (status, (*code).to_owned(), (*rule).to_owned());
        let given = refusal(&answer);
        if given != expected {
            unlike.insert(format!("{name}: {given:?}, not {expected:?}"));
        }
    }
    assert!(unlike.is_empty(), "{unlike:#?}");
    let recent = test.node.parts.alerts.recent(None, 10).await.expect("a store");
    assert!(recent.is_empty(), "{recent:?}");
    assert_eq!(post(&test, &key.sign(&alert("good"))).await.status, 202, "and a good one is taken");
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_verifies_only_within_its_dates_and_the_refusal_names_it() {
    let test = TestNode::start().await;
    let key = Key::p256();
    register(&test, [("desk", &key)]).await;
    let now = Timestamp::now();
    let hour = jiff::SignedDuration::from_hours(1);
    let signed = key.sign(&alert("dated"));
    for (dates, rule) in [
        ((now - hour * 2, now - hour), "certificate_expired"),
        ((now + hour, now + hour * 2), "certificate_not_yet_valid"),
    ] {
        change(&test, |agency| {
            let one = agency.cap_signing.certificates.get_mut("desk").expect("registered");
            (one.not_before, one.not_after) = dates;
        })
        .await;
        let answer = post(&test, &signed).await;
        assert_eq!(refusal(&answer), (403, "bad_signature".to_owned(), rule.to_owned()));
        assert!(answer.text().contains("`desk`"), "{}", answer.text());
    }
    register(&test, [("desk", &key)]).await;
    assert_eq!(post(&test, &signed).await.status, 202);
    test.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comment_changes_nothing_of_what_was_signed_and_what_is_read() {
    let test = TestNode::start().await;
    let key = Key::p256();
    register(&test, [("desk", &key)]).await;
    let signed = key.sign(&alert("commented"));
    // A reader that stops at a comment would be told half of the words.
    let commented = replaced(&signed, "Ngập sâu", "Ngập<!-- nothing --> sâu");
    let answer = post(&test, &commented).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    let id = answer.json()["id"].as_str().expect("an id").to_owned();
    let read = test.ask(Method::GET, &format!("/v1/alerts/{id}"), None).await.json();
    let infos = &read["publication"]["content"]["content"]["infos"];
    assert_eq!(infos[0]["headline"], "Ngập sâu", "{read}");
    test.stop().await;
}
