"""What Unicode 15 says of a code point, as far as expressions ask: category, script, case.

Python's own `unicodedata` has no scripts, its version differs from one Python to the next, and
two nodes of a cluster must agree on what a filter matches. So the tables are here, packed: runs
of neighbouring code points of one class, and the groups that case folding makes one. They are
unpacked when an expression first asks for them.

Sources: the Unicode Character Database 15.0 (General_Category, Script, simple case folding), as
RE2 and Go's `unicode` package offer it; tests/serfevents/make_unicode_tables.py wrote the data.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Iterator
from functools import cache
from typing import Final

CODE_POINTS: Final = 0x110000
SURROGATES: Final = range(0xD800, 0xE000)

_CATEGORY_NAMES: Final = (
    "Cc Cf Co Cs Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So Zl Zp Zs"
)
CATEGORIES: Final = tuple(_CATEGORY_NAMES.split())

_SCRIPT_NAMES: Final = (
    "Adlam Ahom Anatolian_Hieroglyphs Arabic Armenian Avestan Balinese Bamum Bassa_Vah "
    "Batak Bengali Bhaiksuki Bopomofo Brahmi Braille Buginese Buhid Canadian_Aboriginal "
    "Carian Caucasian_Albanian Chakma Cham Cherokee Chorasmian Common Coptic Cuneiform "
    "Cypriot Cypro_Minoan Cyrillic Deseret Devanagari Dives_Akuru Dogra Duployan "
    "Egyptian_Hieroglyphs Elbasan Elymaic Ethiopic Georgian Glagolitic Gothic Grantha "
    "Greek Gujarati Gunjala_Gondi Gurmukhi Han Hangul Hanifi_Rohingya Hanunoo Hatran "
    "Hebrew Hiragana Imperial_Aramaic Inherited Inscriptional_Pahlavi "
    "Inscriptional_Parthian Javanese Kaithi Kannada Katakana Kawi Kayah_Li Kharoshthi "
    "Khitan_Small_Script Khmer Khojki Khudawadi Lao Latin Lepcha Limbu Linear_A Linear_B "
    "Lisu Lycian Lydian Mahajani Makasar Malayalam Mandaic Manichaean Marchen "
    "Masaram_Gondi Medefaidrin Meetei_Mayek Mende_Kikakui Meroitic_Cursive "
    "Meroitic_Hieroglyphs Miao Modi Mongolian Mro Multani Myanmar Nabataean Nag_Mundari "
    "Nandinagari New_Tai_Lue Newa Nko Nushu Nyiakeng_Puachue_Hmong Ogham Ol_Chiki "
    "Old_Hungarian Old_Italic Old_North_Arabian Old_Permic Old_Persian Old_Sogdian "
    "Old_South_Arabian Old_Turkic Old_Uyghur Oriya Osage Osmanya Pahawh_Hmong Palmyrene "
    "Pau_Cin_Hau Phags_Pa Phoenician Psalter_Pahlavi Rejang Runic Samaritan Saurashtra "
    "Sharada Shavian Siddham SignWriting Sinhala Sogdian Sora_Sompeng Soyombo Sundanese "
    "Syloti_Nagri Syriac Tagalog Tagbanwa Tai_Le Tai_Tham Tai_Viet Takri Tamil Tangsa "
    "Tangut Telugu Thaana Thai Tibetan Tifinagh Tirhuta Toto Ugaritic Vai Vithkuqi Wancho "
    "Warang_Citi Yezidi Yi Zanabazar_Square"
)
SCRIPTS: Final = tuple(_SCRIPT_NAMES.split())


def category(code: int) -> str:
    """Return the general category of a code point, such as `Lu`; empty where unassigned."""
    return _look_up(code, *_categories())


def script(code: int) -> str:
    """Return the script of a code point, such as `Greek`; empty where unassigned."""
    return _look_up(code, *_scripts())


def orbit(code: int) -> tuple[int, ...]:
    """Return the code points that are the same when case is ignored, itself included.

    >>> [hex(each) for each in orbit(ord("k"))]
    ['0x4b', '0x6b', '0x212a']
    """
    return _orbits().get(code, (code,))


def _look_up(code: int, starts: list[int], owners: list[str]) -> str:
    """Return what owns the run that a code point is in."""
    return owners[bisect_right(starts, code) - 1]


@cache
def _categories() -> tuple[list[int], list[str]]:
    return _runs(_CATEGORY_RUNS, CATEGORIES)


@cache
def _scripts() -> tuple[list[int], list[str]]:
    return _runs(_SCRIPT_RUNS, SCRIPTS)


def _runs(packed: str, names: tuple[str, ...]) -> tuple[list[int], list[str]]:
    """Return the first code point and the owner of each run."""
    numbers = _numbers(packed)
    starts, owners, start = [], [], 0
    for owner in numbers:
        starts.append(start)
        owners.append(names[owner - 1] if owner else "")
        start += next(numbers)
    return starts, owners


@cache
def _orbits() -> dict[int, tuple[int, ...]]:
    """Return the orbit of each code point that has more than itself in it."""
    numbers = _numbers(_ORBITS)
    found: dict[int, tuple[int, ...]] = {}
    first = 0
    for size in numbers:
        code = first = first + next(numbers)
        members = [code]
        for _ in range(size - 1):
            code += next(numbers)
            members.append(code)
        found |= dict.fromkeys(members, tuple(members))
    return found


def _numbers(packed: str) -> Iterator[int]:
    """Yield numbers packed at seven bits to a byte, the lowest first."""
    number = shift = 0
    for byte in zlib.decompress(bytes.fromhex(packed)):
        number |= (byte & 127) << shift
        shift += 7
        if byte < 128:
            yield number
            number = shift = 0


_CATEGORY_RUNS = (
    "78dadd594ba8644719feabea54fde79caeeeeabef79edb7deae6dee9b9f3c8bc7333cfa831190c1308911837"
    "0971e103a3e003928520e8668862160651c44d16821a5cb88a1b635c0551445488a0c1854870a10b25b88a01"
    "45fdfeff9ceedc99b98ce6e1045d549f3a5575fefadfaf36f34dd3b829c6ba59318d693126a6b1c3bab1ad6b"
    "6c95d7b1b26266668ce1f1d6e2ad35663fbe33d322e37766b261b386558b99bcb526599c069c9949d85b35c9"
    "35a69ab6a6623f6b8d2f2becdec061dfe0fe1b1b763977cbb93c1dee2d96f36ecf5ef39ddd757eb16e59a171"
    "5199524feffe7dc394da5d90dc0d95d36270cf8b0edbe29afd4b6cfc4658991521ce46c1cf3840ef3026f1d1"
    "c529599127d9004e41fb0c1533c0c3cc91bc753c9de059f9034ab5c8e0b5e1e9e5d92ea5529df13b6f0607b2"
    "897e606f28cfed5b641b376040c287450b9ae08f8a77239bed14abf1e4c444e843b4fd3054f206155c349606"
    "3688ff8367c4e93868e0db1ac7f360b88e0dbc63c1361afe7003ef1659fc5e0cc1468b27768635bb0c1b6d46"
    "84ef70c2f056dc20cb0fc5011b1a617f7fac024e372e009f68a696d763110c564dc45af4649b4486dbe83003"
    "b63c20cfb399e1009896422cf928cecdac89f3daf0f9686ab9c7d42e967581372b98015babde1cf6c0495601"
    "a9042616631d73c630044f2258e8d798e11486bc5359c36e58be7211abc0dc4e6d0ad94cb1ab3c03d5b5e017"
    "f4dcab50ed72001209644b85c000450e2b8c3be5061e0247400734aa7b5895dc87b11b965f62e8213b3d2738"
    "e2464309d250ec10930432a481337b53bb1b9651aeeda29858215f41b144b714809b602b743ac5adc0d352b7"
    "66752eeb8e23150209105ded94ee0ec750abe493cb610a7d211f750ff875b44e31c61d5ed1d5e00df824b801"
    "233d2130ec824ee2c624ceaa5b35f4e30a28f55514fa052f6af99a310b9d647a589801b708caed92f3472193"
    "4e1bcc820a16ac0b76356e5ef026555935b2e7f50ae89ff5f2136c59255de06ba145245652c08d5670a6c83b"
    "51b0602aa04d01da5c3646320f3ab4e42c70578832aff574a590b11ec4862151810769cc819f6b92642419d8"
    "65dc9320bb681643321c19a052b87510da38027fbc583ffb3800b483647289d3a028dbc6e74271390ebe1538"
    "09090a8f8433c03270d079119d700a3c14ae143c8ccae73a74fc1fd6c2bb6ce18324ea206290f5c7c51e11bf"
    "7f6a55916c6f86ddfc68ffdcbfc79eb884b7f5f3bbc4949a2aad81e9e35c53a81e00e8407662f8cf9a99f164"
    "d370169a71e4dec68d1c28675e817e19aa7855741d145658b190c6b093bdcecfca5ee4ba546a06e2a7244f64"
    "b578703c248c26205704fdf0412285c007e065cee1060fbe6cabbd78be9b6ade47aad380e97aeb08d008e048"
    "4ebc136fa944077c02fa9545431276f2364f636795f0617caeb756a6ee29789580538ba6cbed321a163f8f95"
    "d1c0c431dd2a72e35bf4bcef6c2176f2779020e73a56b90207d49ff096f802951db0552f7e42bfb422415983"
    "8e97f0fc07c195526dc9351eb7c2ee8586101aeb2be2ea382197684a2a211e13878233b4041a1ed5d2447fc8"
    "fb13e14e3f84166c8743f1e2ff7a8cbd81a3fabfa0a11443ad30500b953a96ef7d76ba1cba3b929db25c0ef8"
    "3fa91e4aa9cacc0c99ebf2dd7938079993cccbcacf103b76ed43db3707d64fa0ad6ba8ccd6cd9ad55fd3941b"
    "e626633d2abb4a769a626c1bd7aacf6c0652198e4d536fe204321058a8642e095992ec0793ea6e06bf3c2437"
    "dd4f290e07d0fa818b9112fc9fc9a856f2a2ee7192e5ca3bb2679f43d5bd75037ea1cbfa19230b2db6954cbb"
    "90ca52206493c623c9d9cda84858a1a2f5d9b73617ad42d4c118fbb02673a3f3276c2e174120af618b75f65e"
    "6c6eb56d3ed2867c89da3ca026dd9eef4bebf919f9aec238df96f9113c5f590691bd46daca275a2fb376df5e"
    "fbed385fb6ede7ae0be39a6fee5ccee6fafb98cd3b6d03aa42be1999ec1c91ea63d54e5f77b8abb2f56299c1"
    "233b7d8b6ab937bd96176de9dea2d66be41b68017c2f22acbc49cdc7b7914402645c5172a24a83e875469c77"
    "d6a07aeff4b79b57d20d992cde7a8bb952448dc74df5c436859c5b37cd10b983bbfa14ea8eed9c21ad8728e6"
    "170ce53c96d64b96c4dc8cf6947db6d702c12fca865125816a6282cf76e482a6e259728907241d9fd9801083"
    "2ce07d48339c06e1e3d87bbf2435a9c835cff3411a20711b67046624495ba98449a53cc7fc663c9fb3fcdc99"
    "7c91bff69460f75744cb7c013c3c22118e9f90520a19879402b4f6df14b6241b0309a15abebc5e285296f1dd"
    "2329840295b369a866d72b69dd5ba9de61776bcceeb5ff2aeefcda31f6fdb8de99bed942be2b9dbbb12ca567"
    "c175770760c71ca548329adc4cbbc429634e0e05a2d52227f0d9a6401169f9743d8e923e69f2185738408724"
    "45d5e48d6f42ea6f91ee0d9062a1d8e64d140eae4fdd6c9f94b96628493fbe475a8e145374b3c2b75ecb154d"
    "c63529ab1427495cbb541586c9639c0dd92d4a3e3edd9559520269b2aaa533cd5874dbf2a04bf431039df205"
    "525884e67e2c9d893f3e33a1f09548850a7f3f1fe80abfae24ab97a9323ff52032ea2972db5ba9282e8fdde5"
    "d3fc9294a41fa7c39e2922987bc5a06e8d26e17e595676e393b3098df94f569c401ef3457c7a9e50fda1e689"
    "53a976c60d77fd5bb076dc98891ddb7f17581a3d8118ef1ae406e2bbaed845dc9f9856768cf44080bb20f538"
    "28b2c0ecf5b48cbbd3ddd55c431e27e1a5f621797e95b3560ae82902b63491a7a01c81bb805fabadcbc2af08"
    "14e04279b5e74bc2da88b6f9b308012827d24938aa6a740e3e6e926c06f219a908d8744b3e09593ca66a0519"
    "a46892f479e6a98030d74650969138c9c35104b125344b75c8a846479e8e5547fc11beaf136585752f7b47a8"
    "e4b3a2aa15eac60a6559c5d2518452e0dde3dd8b8258ba8b9f118d5c870695b01e1496e118464597945e91f2"
    "89be8120616b2a97a792a7f0d40cee94a9a29d9e5e9f3cafa780a243b880b2952e22cc15c9b24d63a462a7b8"
    "6b19e024cad0a22fe437b5e102ab04246e30783349c3603339a80ffc3e6c0fe24dbe61e0791ed019d85ae0b0"
    "8a1b4b94f40c0b8e89e97ebe872e546768e8cf10a7c007232c1b4cf9b64d08237c4cae9e688f82ee85696da6"
    "5afa47bc1e07a9683cada3ca2c00ea303700b62651b937c67331e1f222ad0dbb0a5fd852a9f99f940e841875"
    "03b56bc4b5d4566e68a56b045d774042eaba52ba003073ed7ae1ce0351944ca0485db703281576703b3050c3"
    "84db10291bd17d14d0039069b8953e859aaff403b55ac38d77ec2ac08d16e0b5d899ba26879bbd6262afd36b"
    "d28a4fe12e3a4d6ed911f2ec65254aa7c4d317c10c6de059215f3cab149852a04aab0df2dc52628232ae885d"
    "3129d2349d24e030fb0e5ebfd94c597a6edbfa59b9a44d946da0f5f29056f9f8b29e0e5d0f51e8c3ee79de10"
    "e5e9bb1f9e0ad4e5565216d0f62cf456d9aaad537ab89afbb9b483e0e8cabe5555f60c98d5415a4f5da3b06b"
    "8a747e18cc87ffa6bbf58b9b3bc4a3a06e3ae1803d1bd0e99a8f086298154da94d5aa3dedef1292dae951c28"
    "d810fac94d4d2f77fda7437daf604193a71a08ae4ac741fa0d1132d20e87e93845f72c25763806ed5bc9aad4"
    "eeda1956471efa1373eda9751db5beefaa1af93dab4d15a8abb4ed9452f1e7db38e669a15a481071f401695b"
    "a6269753782b1a82de27993e3a7a8404d301ffc8d0cfd7f8430034e4a74b3bd6f641a2efece39f14f4ec5dfc"
    "6c41e21f16d1f03dd435608430f10c35ef4496065680c2c303d6d2e64b426003955ba5a7bd082c4d618f1fe1"
    "7b49595e5f00d205aab78bc14ac205aa251c8ff8955bc0f3172a3a06befef152801904400ac2886f594a2064"
    "b3ef4f8e6023253fe1e8f32bfc095c04f7cbe2721084b32a8a2de8b707e3296009f3cf9fa2dbf3cb404e2b99"
    "db45a4d9d5c196b1ccb088bc158bfc4e6af2bba238f1cfc04ea38cfc2055a9a5c74d957dc61047bba273fd53"
    "076534b44f9fc014a573d16731726ea0e78039f66c55766e7bb982ec488b6ed7afe63dc74df8b26d8d9711fe"
    "e399fe15353c9d2f17f10292a4d3da671c45ed332222893e257abef4704c7e8d820ff4eb4e7f27ea1d3a5d44"
    "7c0a77d07e48e65146b08b0c41485c2ab4378bb47d0b5b133e1161aae4a7869e77bc0149caeb1fbc2a78b18c"
    "9d867f2c157c05e847ab6dbf0d68466c5c148abe12d23b501320ce2348be3b9d94fa807ed87dbed183307d00"
    "ab7bb0464760e9129be57b1786769fbf7a2cf68ade6b16bbe009ec0934c9f569d184ceb696be64f3092af2c3"
    "5006e4001846c721aad3307fc3d06d7993867a04da87d46194033d69f2dfcccce7dfc091c1e29ce6069fc6fc"
    "031472d46664d2e76d544a373523c4e72df9b388eecbbfb2b86a8417f948609ec2758c03a3fe0e195f05c228"
    "940e81855f28f9c55f5804d81fccc190df09758f9d84797cf7edb097970afae62a7fbda0df0ff8678741dc8b"
    "73fae5f78f23b26dd90fd26513ff62e8cb7f77ee1fff845575bfff02873538cd"
)
_SCRIPT_RUNS = (
    "78da7d575b705d5519fefeb5d7be9d6beee94ad2939d5e729ae69c9c7dda26ddbd244d08cda14d290d50da52"
    "da065b4ab92828912ad7581a10db7229ad404528c830ea388ebea8f8848e8e0fea0cce28e383e3303ee88333"
    "8c0f0ee3830f7e6bf7b4c3308c0fdf5afffed7fad7e5bfae6da61a3dc6236a0d3145c26d741b69f413bf704c"
    "b9e11a37af4c47f260451ba93850692fd015b17dcab3df52e920b6f5142a2da5254954e97be4b98350ee3a82"
    "7346372218ed851ef590d5ae11ed1105c22122229364754f22fa7ed22bce48017246b6429d1147c7df947528"
    "1cdf0275dc797204eac922e4e63ea89bc54ecac2d5fd10ade0e99d145e1ecd253a2a1a15f56435241b406515"
    "d145da27040ef92a1b36f91a01799ab4645d7e1ba81a0f5cf3a06b1caf51ae4639d257a16adcb8e636c71d38"
    "fcf66bdc2bed5b91a952be1a12b6a77c95f255ca56b97e35d3e453995541b1cab35473f0ed9c05f21778de05"
    "aebb40b905cba3dc02e516c226df814fe86bfc3664ce0b3fce8b07e7bc3896d2964a79621b75e5331d659383"
    "3e2fee27262b3bcfb34de1bc74c2bd2879c8453b7a51ba6dd3027551c26b3c0dffa25dde7e72406ca36d93b1"
    "03e138a5c739719cb2e3bcee388f391e3679941da7a9084bab74dc416e8e32731c9f5bdfeca9fe396e3bd703"
    "59b2bb2e491b9c255966a9d036dc75497ccba3f59678f994c72680b7c493282b967b5936832efbb2f461f50c"
    "f79ce194199758d6a4bba1d26f4b53dd33149cd1885e911b20afc82ae857a47c856253b48d6fc853583d7f59"
    "d60c42d6085c42ad1936b246d717557907a4ccab95b95c599af450b31ff88c31ae5aded4a4a789084eb9075e"
    "f76d50dd1e54dba27bcf72384fcc1ae7892cfcb3d285f0acc8fa4ea310b6762077ce9aeb9c55d2399e2b377d"
    "186a3a03cfe29032ea10c3f45007e903f00f0dc36d9b416607236607fd2005236247ee3929413d47b7c81eab"
    "401fe3fec7b2708ea9e9a885a1d6a29e976d90e765394865e13d4f0db3294025fda8fb37c2f16b90676532b3"
    "014146df90c0b9a14838f7c6a510fe9a612ac87996b60912467c9227a8c7448c47388932d46263b0e296a451"
    "afb80d4de449cf5424996c2caa4a17530f7551196cf64133ed5c453f79a3eca9cb4a219d239576f6363dd15d"
    "4c8e5bec639f6dd054b6359cd9c8c3310328268419643a731a8ad9504c2fd1da18328c33f3b20b63b2e83497"
    "fde2a232ffa6954cc495ee199a6f443d0b707bfc4fbac1ab92c07f957628bc2a52ee46989afaffa01499c358"
    "11d3cfe303c8c51f087a4c674c9b11260e135d572688b5617e19a347f01e6a8c2a9cb8dda809076e7e18523f"
    "ccf3b4e423b30a598eb4d4695d3359ef377313357eef37df95f8bdf566325e7c5bde9273219cb76423c25df1"
    "b7e5070a1da5f9603f02b3a2719c0a98a41d18275493345c2c6b14be21556a89d67e2441b02833b6c9c18ba2"
    "c9112393f238f77c5cea74d02dbbb9ab6cc9406f51f33c4117b7e8a22dba18525d7a3e7a41a6b1ec0571f775"
    "2353a60d9bb8a6a00603a81156a4a1e9d8ba7bcf3ea6fa7ddcb7fef63ee4eaddd0f53a4e5f177fc42418df8b"
    "c1868f9cebc21da5e64619c1a33cf1a86a22a31f428bfe2775a5f740e931f85a10e996a4c5de2429949459c9"
    "d3b6131a5a535c3f631d836b98a85912b313192aaf6a14d5e9d479d86b6016353c309131cc6db339c82c4f31"
    "cbe566b9fb6c91bc0256cc3e0a377521abc0b0721325e87074d79aa92682537223b5d65ea7ffd1e3a0ef5f85"
    "f07e676d2fdc2f304a5f633cca6b220f30053d50c0dafe3da7247e9831fa302ff065322d56af41d0b101d90e"
    "799d41c9a6681bdf360a9fc59bdef953268d9d5dc8ec0c685c4649632d11627b1f2fd6c7ebf75508d60ad2fc"
    "dec82ab431fc4a74673f823b43c41b78c50d0aee06f7d13e388fcaee1eb8bb0593b7470796411fe8803a3032"
    "454f9de29c29c6e814e36f8a3983bd9e627598622ef862f4f908d12d65e85b7208bd31389ebf99f1bd39d8d4"
    "0e7753f0581bfcc734728ff9d8f3a51dd878df7ae409ff3e6f1dafbb2e8377942df86fca5adbb002bdc98bcd"
    "6ae7418e3e4d66d7433d185cd6878e41465f613774818a2dc8d66964b6f252cf8881ff8c4d5f9d4c189d6d08"
    "6e2a23fc9accdbdad181ecf56d90eb6b983842951da1428ef03a47a8c323cc7adbb7c0dd4ec961f28659a887"
    "e98bc354d130e79296613a5222c3617384671b6661255cce5084c31967e4ae3b2077b9285d6291092ef128ef"
    "c8533206f5940c62c51ddb91bdc3a6ee3cda5f64f5f25ee48431d50ba58ad0aa1befca8aad3876596e41eeb2"
    "c800171ee0b506a8ed011e61a094f66a80ba1dc860e6288f79949174348bdeefd8fdbe4ec17c5bcb5737c18f"
    "32f858724c8fb92a5140264787bc3582ba9577bab5801d7b79afbd5c746f05ce5e69d22182bd3cdf089d6784"
    "df23ab9bbd077f24839fa83dd4efb656c8b62138dbfa70db2ebe72cef30597e703a3f7928fe3bd0f407a5968"
    "7a7f25f85dc7f2a3c8affa20c0f7fb9ddf68bc3b1dbccb27c2611af83033c961f592306e5eb2e60ae9fca187"
    "cc49d6af937c369ce4e14ef2b572b21d3f726f3b88bb0ece421fe4b50eb662f282c8dd12abeb04d998b9f882"
    "fca786e0822c7ad77de060ed053e21feb17d82569ce022133cfd848cbd61f369714cb07c8c869be063881382"
    "bbcf3a38ddb6f23eb82b19bc2be9bf2b99cf56da7cfc975509159bd0cbcc02b69a8f85e9a0cc2432c112d79a"
    "0446b1c495126dc6d15999c12386a53ac53e0a18d00ff73223340895661e95f6da162b9b48d3fc22662a4d51"
    "2c01cdefbef49b0ff574ce953cf4472bf8b66dd69d96b32e8aa759c7e53423fffda0d10f8f71fe2719e2cca1"
    "56a8b4e78d87983b4b131828091e3cc10c7582a9fa04557e42e13df52de947eb1bf43ef70d3eaade773eb716"
    "7f77d344cdbdcb94b68f96fdbfe6a1f7b760487641d3429a71f8a267aec72e5ef997a23955f7a62f7361f655"
    "049ff9b8c297141ea19bf415389f9aff695c1db36bf8cdb5aeae67d76ee5df805dc34de90d9cff9c327cd098"
    "63543cf3b22dfb2956d3583f1424a667cc1a209f4ea27549178c874b62feec93d34a15db57c249d247e0d134"
    "7c4df2b5607bd6435b4d0cf38e29a5e6db6d4d9133d4642a64971b49ed16907765798b97ac71376235a59f0e"
    "e20f7faf10c53f8fe0c57fe5d5e2535514e21f6f4631fe48e3adf6f8758dbf65e3df0ec28d3f8cf0879fb14c"
    "a264e6b128c9bf042ffc37fb3f2b6d79c5"
)
_ORBITS = (
    "78daed97cf6b134114c779dfd94d76bb69d3424951ac5d147f8020db8b847ab03d88e04521c18b27c13f40c4"
    "8b17d1a2a0e041acdeea8fa268b107915e3c08d1a6f49092d41f28b42278b2074150104f826f677f3474b3f9"
    "d16ce30ac2e7bd7933f3b26f32f3766616632628144166612cace73a6af79c5c554d18ebbd1746ebc4090535"
    "db0b07619e07110f200214cf10210e228a28fe434491406fc91b7ec5b1ca5c94a5298e814a6c2dae752cb19c"
    "02bde3e28dd3fa80c5aebe671967f94055d3b1e254569ca06e6d998b65dfeba3b4f89f8bac50898470640353"
    "e0fd4c896205826833793929d35c145ce1ea61d0914002dce3be4996bb79742d950075919532cd8ae66dcb56"
    "f42b077a6577fece21b59a835ab42b4f58656edbfd374b501e53debc92c53e6f70eab83bcd2c3887e46e6017"
    "488251e0108829669d44dfeea7bc9bf10a995b760a9807aa139abb332c96c010f92d69dffa34e2e6ba3a9bc5"
    "9006bd99594c42954b91380e6a093768c572cab2557f4b98b77c73ce526c4561ae2f028f1a26017a68b59620"
    "5d11bdea6ba46b6f1f22f2406dee1a3c7f9da594f9cc891c43014b8245bc1c00fd23523dd629f5f5535ed2ff"
    "2a364a5b8798e89b9be097ee3b5dbec5c7c59741f43d67e36cbcf604de3e47227e682a66bb1eb4e0e2d8e881"
    "16a369cfb0f69466877308fdd5511073a28ad3928be4c819c9051bd1f688aadba1a35747b7b4d352f329dfa3"
    "a3806dd8df0b6a857ec26c622b283a9ef574fc78aacf3021e92551529ee646dc525be25ce7f8b656f9414d5f"
    "85c3e86fdaf32ab578fb6e1fa3d6b54a95d876a37ba0713f19fa9da77acb9c90c620e1c623f69dd4cc8d7c69"
    "86b1a0ef05fd0dae7532d81dda83faa091434367a7f16b377f16c5926f0391264e904b33b4c911a67ed20e6c"
    "3e7f00319798a6"
)
