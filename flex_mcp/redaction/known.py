"""Secrets that their own form gives away: a provider's prefix, a key's armour, a web token.

The forms are facts that the providers publish; gitleaks (MIT) and GitHub's list of patterns for
secret scanning name them too. A rule's regular expression begins with a literal, is searched only
where one of its needles is in the text, and has only bounded or possessive repeats: its cost grows
with the text, whatever the text is.
"""

import functools
import re
from collections.abc import Iterator
from typing import NamedTuple

from flex_mcp.redaction.entropy import is_random
from flex_mcp.redaction.spans import Span
from flex_mcp.redaction.vocabulary import words

ARMOUR_LIMIT = 64 * 1024  # characters of a private key, its armour included
LEAST_KEY = re.compile(r"[A-Za-z0-9+/]{24}")
BEGIN = re.compile(r"-----BEGIN (?:[A-Z0-9]{1,12} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
CUT_OFF = re.compile(r"(?:[A-Za-z0-9+/=\\]|[ \t\r\n,:-](?!-----))*+")  # a key without its end
PUTTY = re.compile(
    r"Private-Lines: ?\d{1,4}(?:\r?\n|\\n)((?:[A-Za-z0-9+/=]{1,80}(?:\r?\n|\\n)?)++)"
)

# kind, prefix, the rest; a prefix does not begin inside a word, the rest does not end inside one
FORMS = r"""
aws-key            (?:AKIA|ASIA|ABIA|ACCA)         [A-Z0-9]{16}
github-token       gh[pousr]_                      [A-Za-z0-9]{30,255}
github-token       github_pat_                     [A-Za-z0-9_]{22,255}
gitlab-token       gl(?:pat|dt|ft|rt|oas|ptt|imt|agent|soat|cbt)- [A-Za-z0-9_.-]{20,300}
slack-token        xox[abeoprs][.-]                [A-Za-z0-9.-]{10,250}
slack-token        xapp-                           \d-[A-Za-z0-9]{5,20}-\d{5,20}-[a-f0-9]{20,80}
stripe-key         [rs]k_(?:live|test)_            [A-Za-z0-9]{10,247}
stripe-key         whsec_                          [A-Za-z0-9+/=]{20,120}
anthropic-key      sk-ant-                         [A-Za-z0-9_-]{20,200}
openai-key         sk-(?:proj|svcacct|admin|None)- [A-Za-z0-9_-]{20,250}
openai-key         sk-                             [A-Za-z0-9]{20,64}
openrouter-key     sk-or-v1-                       [a-f0-9]{40,80}
google-key         AIza                            [A-Za-z0-9_-]{35}
google-key         GOCSPX-                         [A-Za-z0-9_-]{20,40}
google-token       ya29\.                          [A-Za-z0-9_-]{20,400}
sendgrid-key       SG\.                            [A-Za-z0-9_-]{16,32}\.[A-Za-z0-9_-]{30,60}
twilio-key         SK                              [0-9a-f]{32}
mailgun-key        key-                            [0-9a-f]{32}
npm-token          npm_                            [A-Za-z0-9]{36}
pypi-token         pypi-                           AgE[A-Za-z0-9_-]{50,400}
docker-token       dckr_(?:pat|oat)_               [A-Za-z0-9_-]{20,64}
huggingface-token  hf_                             [A-Za-z0-9]{30,64}
huggingface-token  api_org_                        [A-Za-z0-9]{30,64}
replicate-token    r8_                             [A-Za-z0-9]{36,44}
groq-key           gsk_                            [A-Za-z0-9]{40,64}
xai-key            xai-                            [A-Za-z0-9]{60,100}
perplexity-key     pplx-                           [A-Za-z0-9]{40,64}
langsmith-key      lsv2_(?:pt|sk)_                 [a-f0-9]{32}_[a-f0-9]{8,12}
pinecone-key       pcsk_                           [A-Za-z0-9_]{50,90}
digitalocean-token do[opr]_v1_                     [a-f0-9]{64}
databricks-token   dapi                            [a-f0-9]{32}(?:-\d)?
shopify-token      shp(?:at|ca|pa|ss)_             [a-fA-F0-9]{32}
square-token       sq0(?:atp|csp)-                 [A-Za-z0-9_-]{22,50}
square-token       EAAA[EAl]                       [A-Za-z0-9_-]{55,65}
telegram-token     \d{8,10}:AA                     [A-Za-z0-9_-]{33}
discord-token      [MNO][A-Za-z\d]                 [\w-]{21,26}\.[\w-]{6}\.[\w-]{27,40}
linear-key         lin_(?:api|oauth)_              [A-Za-z0-9]{32,64}
notion-token       ntn_                            [A-Za-z0-9]{40,60}
notion-token       secret_                         [A-Za-z0-9]{43}
atlassian-token    ATATT3                          [A-Za-z0-9_=-]{100,250}
figma-token        fig[dou]r?_                     [A-Za-z0-9_-]{36,60}
postman-key        PMAK-                           [a-f0-9]{24}-[a-f0-9]{34}
pulumi-token       pul-                            [a-f0-9]{40}
vault-token        hv[bsr]\.                       [A-Za-z0-9_-]{20,300}
terraform-token    [A-Za-z0-9]{14}\.atlasv1\.      [A-Za-z0-9_=-]{60,70}
grafana-token      gl(?:sa|c)_                     [A-Za-z0-9+/_]{32,400}={0,2}
newrelic-key       NR(?:AK|JS|II)-                 [A-Za-z0-9_-]{19,40}
sentry-token       sntry[su]_                      [A-Za-z0-9+/=_]{40,300}
doppler-token      dp\.(?:pt|st|ct|sa|scim|audit)\. [A-Za-z0-9_.-]{40,80}
planetscale-token  pscale_(?:tkn|pw|oauth)_        [A-Za-z0-9_.=-]{32,64}
fly-token          fo1_                            [A-Za-z0-9_-]{40,50}
supabase-key       sbp_                            [a-f0-9]{40}
supabase-key       sb_secret_                      [A-Za-z0-9_-]{20,60}
netlify-token      nfp_                            [A-Za-z0-9]{36,44}
heroku-key         HRKU-                           [A-Za-z0-9_-]{30,70}
tailscale-key      tskey-[a-z]{2,10}-              [A-Za-z0-9_-]{20,80}
onepassword-token  ops_eyJ                         [A-Za-z0-9+/=_-]{60,1500}
rubygems-key       rubygems_                       [a-f0-9]{48}
nuget-key          oy2                             [a-z2-7]{43}
clojars-token      CLOJARS_                        [a-z0-9]{60}
age-key            AGE-SECRET-KEY-1                [A-Z0-9]{58}
alibaba-key        LTAI                            [A-Za-z0-9]{12,24}
facebook-token     EAA[MC]                         [A-Za-z0-9]{90,300}
airtable-token     pat                             [A-Za-z0-9]{14}\.[a-f0-9]{64}
buildkite-token    bkua_                           [a-f0-9]{40}
circleci-token     CCIPAT_                         [A-Za-z0-9]{20,24}_[a-f0-9]{40}
contentful-token   CFPAT-                          [A-Za-z0-9_-]{43}
dynatrace-token    dt0[a-z]\d\d\.                  [A-Z0-9]{24}\.[A-Z0-9]{64}
easypost-key       EZ[AT]K                         [A-Za-z0-9]{54}
mapbox-token       sk\.eyJ                         [A-Za-z0-9_-]{20,200}\.[A-Za-z0-9_-]{20,30}
brevo-key          xkeysib-                        [a-f0-9]{64}-[A-Za-z0-9]{16}
typeform-token     tfp_                            [A-Za-z0-9_.=-]{40,70}
prefect-key        pn[ub]_                         [A-Za-z0-9]{36}
azure-secret       [A-Za-z0-9_~.]{3}[78]Q~         [A-Za-z0-9_~.-]{31,34}
adafruit-key       aio_                            [A-Za-z0-9]{28}
password-hash      \$2[abxy]\$\d\d\$               [./A-Za-z0-9]{53}
password-hash      \$argon2(?:id|i|d)\$            [A-Za-z0-9+/=,$-]{20,200}
password-hash      \$[156y]\$                      [./A-Za-z0-9$=]{20,160}
slack-webhook      hooks\.slack\.com/(?:services|workflows|triggers)/ [A-Za-z0-9/_-]{20,120}
discord-webhook    discord(?:app)?\.com/api/webhooks/\d{15,22}/ [A-Za-z0-9_-]{50,80}
teams-webhook      webhook\.office\.com/webhookb2/ [A-Za-z0-9@/-]{60,200}
"""
# further prefixes; what follows them must look random
PREFIXES = words(
    """
    ABSK AIK_CI_ AQ.Ab8 ATAT BBDC- CCDB1_ CCIPRJ_ EAACEdEose0cBA FLWSECK- FLWSECK_TEST- GR1348941
    PMAT- SWMKEY-1- SWMTKN-1- aact_prod_ apify_api_ api_live. api_live_ca. api_live_us. apk_user_
    bedrock-api-key- bkct_ bkua_ cfat_ cfut_ cog_ configcat-sdk-1/ csa_ csk- ddo_ ddp_ duffel_live_
    duffel_test_ dvc_server_ e2b_ essu_ eyJrIjoi fio-u- fm1r_ fm2_ glffct- ico- jina_ lip_ llx-
    lsv2_pt_ lsv2_sk_ mercury_production_ mergify_application_key_ mlsn. napi_ nvapi- nyk_
    os_v2_app_ p8e- packagist_acs_ packagist_ort_ packagist_out_ pat-eu1- pat-na1- pdl_live_apikey_
    persona_production_ phx_ pina_ polar_at_ polar_oat_ polar_pat_ prf_ rdme_ rnd_ rootly_ rpa_
    samsara_api_ sbp_ sgp_ shippo_live_ shippo_test_ sk-api- sk-lf- sk-or- sk_car_ sm_aat_ sm_pat_
    sm_sat_ tgp_v1_ tk-us- tss_ tvly- ucat_ unkey_ vca_ vci_ vck_ vcp_ vcr_ vtwn_ waka_ wandb_v1_
    wrka- xnd_development_ xnd_production_ zpka_
    """
)
PREFIXED = "provider-token"
REST = "[A-Za-z0-9_./=-]{20,300}"
SAMPLE = 64  # characters that tell whether it is random
NEEDLES = {  # of those whose prefix holds no literal of its own that tells enough
    "aws-key": ("AKIA", "ASIA", "ABIA", "ACCA"),
    "telegram-token": (":AA",),
    "discord-token": (".",),
    "azure-secret": ("Q~",),
    "password-hash": ("$",),
    "slack-webhook": ("hooks.slack.com/",),
    "discord-webhook": ("/api/webhooks/",),
}


WEB_TOKEN = re.compile(  # the look behind: a start inside a run is given up at once
    r"eyJ(?<![A-Za-z0-9_-]eyJ)[A-Za-z0-9_-]{10,}+\.[A-Za-z0-9_-]{10,}+(?:\.[A-Za-z0-9_-]*+){0,3}"
)
LITERAL = re.compile(r"[A-Za-z0-9_-]+")
GROUPED = re.compile(r"\(\?:[^)]*\)|\[[^]]*\]|\{[^}]*\}|\\d|\\")


class Form(NamedTuple):
    """What a provider's secrets look like; a text without a needle holds none."""

    kind: str
    needles: tuple[str, ...]
    regex: str


def secrets(text: str) -> Iterator[Span]:
    """The secrets that are known by their form."""
    yield from _armoured(text)
    if "eyJ" in text:
        yield from (Span(*found.span(), "jwt") for found in WEB_TOKEN.finditer(text))
    met = [form for needle, form in _needles() if needle in text]
    for form in dict.fromkeys(met):
        yield from _found(form, text)


def _found(form: Form, text: str) -> Iterator[Span]:
    regex, place, last = _compiled(form.regex), 0, 0
    while found := regex.search(text, place):
        start, end = found.span()
        if start > last and (text[start - 1].isalnum() or text[start - 1] == "_"):
            place = start + 1  # it begins inside a word
            continue
        if form.kind == PREFIXED and not is_random(text[start:end][len(form.needles[0]) : SAMPLE]):
            place = start + 1
            continue
        yield Span(start, end, form.kind)
        place = last = end


def _armoured(text: str) -> Iterator[Span]:
    """Private keys in PEM or PuTTY's armour, with key material in it."""
    place = 0
    while begin := BEGIN.search(text, place):
        place = begin.end()
        end = text.find("-----END", place, place + ARMOUR_LIMIT)
        close = text.find("-----", end + 8, end + 80) if end >= 0 else -1
        again = BEGIN.search(text, place, end) if close >= 0 else None
        whole = close >= 0 and again is None
        stop = close + 5 if whole else _run(text, place)
        if LEAST_KEY.search(text, place, stop):
            yield Span(begin.start(), stop, "private-key")
            place = stop
    if "Private-Lines" in text:
        yield from (Span(*found.span(1), "private-key") for found in PUTTY.finditer(text))


def _run(text: str, start: int) -> int:
    found = CUT_OFF.match(text, start, start + ARMOUR_LIMIT)
    return found.end() if found else start


@functools.cache
def _forms() -> list[Form]:
    listed = [_form(*line.split()) for line in FORMS.strip().splitlines()]
    others = [Form(PREFIXED, (one,), re.escape(one) + REST) for one in sorted(PREFIXES)]
    return listed + others


def _form(kind: str, prefix: str, rest: str) -> Form:
    needles = NEEDLES.get(kind) or (max(LITERAL.findall(GROUPED.sub(" ", prefix)), key=len),)
    ends = "(?![A-Za-z0-9])" if re.search(r"\]\{\d+\}$", rest) else ""
    return Form(kind, needles, prefix + rest + ends)


@functools.cache
def _needles() -> list[tuple[str, Form]]:
    return [(needle, form) for form in _forms() for needle in form.needles]


@functools.cache
def _compiled(regex: str) -> re.Pattern[str]:
    return re.compile(regex)
