#!/bin/sh
# Signs a CAP document with xmlsec1: sign.sh KEY CERTIFICATE ALGORITHM DIGEST DOCUMENT
# KEY and CERTIFICATE in PEM; ALGORITHM and DIGEST are identifiers of XML Signature. The signed
# document goes to standard output.
set -eu
key=$1 certificate=$2 algorithm=$3 digest=$4 document=$5

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The empty signature, as the last child of the alert.
cat >"$work/signature" <<END
<Signature xmlns="http://www.w3.org/2000/09/xmldsig#">
  <SignedInfo>
    <CanonicalizationMethod Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>
    <SignatureMethod Algorithm="$algorithm"/>
    <Reference URI="">
      <Transforms>
        <Transform Algorithm="http://www.w3.org/2000/09/xmldsig#enveloped-signature"/>
        <Transform Algorithm="http://www.w3.org/2001/10/xml-exc-c14n#"/>
      </Transforms>
      <DigestMethod Algorithm="$digest"/>
      <DigestValue/>
    </Reference>
  </SignedInfo>
  <SignatureValue/>
  <KeyInfo><X509Data><X509Certificate/></X509Data></KeyInfo>
</Signature>
END
{
  sed 's|</alert>[[:space:]]*$||' "$document"
  cat "$work/signature"
  echo '</alert>'
} >"$work/template.xml"

xmlsec1 --sign --privkey-pem "$key,$certificate" "$work/template.xml"
